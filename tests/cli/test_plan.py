"""ticlip plan: the currencies by formula, and a real step's MACs by layer, which add up."""

import harness
from harness import USAGE

STEP = ("plan", "--model", "ViT-Nano-8-40", "--batch", "6", "--tokens", "9")


class Plan(harness.Case):
    def test_paper_currency(self):
        got = self.succeed_json("plan", "--model", "ViT-B-16")
        self.assertEqual(round(got["nominal_image"] * 1e-9, 2), 17.56)
        self.assertEqual(round(got["nominal_text"] * 1e-9, 2), 2.98)
        self.assertEqual(got["nominal_train"], 3 * (got["nominal_image"] + got["nominal_text"]))

    def layers_add_up(self, precision):
        formula = self.succeed_json(*STEP)
        got = self.succeed_json(*STEP, "--layers", "--precision", precision)
        for kind in ("logical", "issued"):
            sums = {way: sum(layer[way][kind] for layer in got["layers"])
                    for way in ("forward", "backward")}
            self.assertEqual(sum(sums.values()), got["step"][kind])
            for way, macs in sums.items():
                self.assertEqual(macs, got["by_purpose"][way][kind])
        self.assertEqual(got["step"]["logical"], round(6 * formula["logical_train"]))
        self.assertGreaterEqual(got["step"]["issued"], got["step"]["logical"])
        names = [layer["layer"] for layer in got["layers"]]
        self.assertEqual(len(names), len(set(names)))
        for name in ("vision.patches", "vision.block.0", "vision.head", "text.embedding",
                     "text.block.0", "text.head", "loss", "optimizer"):
            self.assertIn(name, names)
        for layer in got["layers"]:
            if layer["layer"] in ("text.embedding", "optimizer"):  # no products
                self.assertEqual(layer["forward"]["issued"] + layer["backward"]["issued"], 0)
            else:
                self.assertGreater(layer["forward"]["issued"], 0, layer)
        return got

    def test_layers_add_up_f32(self):
        self.layers_add_up("f32")

    def test_layers_add_up_bf16(self):
        self.layers_add_up("bf16")

    def test_table_has_the_same_numbers(self):
        got = self.succeed_json(*STEP, "--layers")
        lines = self.succeed(*STEP, "--layers").splitlines()
        rows = {line.split()[0]: line.split() for line in lines[2:] if line.strip()}
        self.assertEqual(rows["step"][3], f"{got['step']['logical'] * 1e-9:.4f}")
        self.assertEqual(rows["step"][4], f"{got['step']['issued'] * 1e-9:.4f}")
        self.assertEqual(rows["step"][6:], ["100.00", "%"])
        for layer in got["layers"]:
            self.assertEqual(rows[layer["layer"]][1], f"{layer['forward']['logical'] * 1e-9:.4f}")

    def test_captions_longer_than_the_model_reads(self):
        self.fail_with(USAGE, ["ViT-B-16 reads at most 77"], "plan", "--tokens", "78", "--layers")


if __name__ == "__main__":
    harness.main()
