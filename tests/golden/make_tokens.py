"""Writes tokens.jsonl: captions with the text and the ids that OpenCLIP makes of them.

    make_tokens.py VOCABULARY OUTPUT     (VOCABULARY: CLIP's bpe_simple_vocab_16e6.txt.gz)

Made with open_clip_torch 3.3, ftfy 6.3.1, regex 2026.5.9 and Python 3.11 (Unicode 14). Each line
is {"text" or "hex": the caption, or its bytes where they are no UTF-8; "clean": the cleaned text;
"ids": the ids at context 77, without padding}. Characters newer than Unicode 14 are left out: what
is a letter among them depends on the version.
"""

import importlib.util
import json
import sys

WORDS = """a photo of a cat|A PHOTO OF A DOG|two red cubes and one green sphere on the table|hello world
the quick brown fox jumps over the lazy dog|New York City, 2021|antidisestablishmentarianism|x|1|.
supercalifragilisticexpialidocious|an aerial view of downtown|e-mail: someone@example.org|C++ & C#
https://www.example.com/path?query=1&lang=en#top|www.photo-stock.com/12345_678.jpg|#sunset #nofilter
@user_name replied|50% off!!!|$9.99 / €8,50 / £7|1,234,567.89|3.14159265358979|1st 2nd 3rd 4th|24x36in
version 2.0.1-rc3+build.5|10:30am-11:45pm|2014-03-01T12:00:00Z|(c) 2020 ACME|"quoted" 'single'|snake_case_name
camelCaseName|kebab-case-name|a/b\\c|a|b|~!@#$%^&*()_+`-={}[]:;"'<>?,./|...|!!!|???!?!|--- *** ___|:-) ;-) :D""".replace("\n", "|").split("|")

CONTRACTIONS = """it's|IT'S|don't|DON'T|we're|We'Re|I've|i'VE|I'm|I'M|she'll|SHE'LL|he'd|HE'D|o'clock|rock'n'roll|'tis
'twas|the dogs' bowls|y'all'd've|it''s|'s|'S't'RE|x's's|can't've|'ll'd|it'ſ|it’s|don’t|it‘s|itʼs|it＇s|ſhe|'ſ""".replace("\n", "|").split("|")

ACCENTS = """café|cafe\u0301|naïve façade|Ångström|A\u030angstro\u0308m|ÀÉÎÕÜ|ñandú|São Tomé|Łódź|Škoda|Çeşme|Ørsted|þing|ĦAMRUN
ﬁne ﬂower oﬃce ﬀ ﬆ ﬅ|Ĳssel ĳs ŉ Ǆ ǅ ǆ Ǉ ǈ ǉ Ǌ ǋ ǌ Ǳ ǲ ǳ|æther œuvre Œ|straße STRASSE ẞ|ĐĐ đđ|ŽŠČ|Việt Nam|Tiê\u0301ng Viê\u0323t
x\u0301\u0302\u0303|\u0301alone|e\u0301\u0301|q\u0323\u0307 q\u0307\u0323|ı i İ I|İSTANBUL Iğdır|DIYARBAKIR ılık|ά ΐ ΰ|ΑΣ|ΣΑΣ|Σ|ΣΣ
ΑΣ. ΑΣ' ΑΣ'Α|ΟΔΥΣΣΕΥΣ ΟΔΥΣΣΕΎΣ|Σ1 1Σ ΑΣ1|Α\u0301Σ Α\u00adΣ|ᾳ ῼ ᾼ|α\u0345 \u0345|ǰ ẖ ẗ|K Å Ω|ſt long ſ|½ ¼ x² y³ H₂O|№ ℡ ™ ® ©
ª º ʰ|ⅷ Ⅷ ⓐ Ⓐ|𝐁𝐨𝐥𝐝 𝓼𝓬𝓻𝓲𝓹𝓽|ｆｕｌｌｗｉｄｔｈ ＡＢＣ １２３|ﾊﾝｶｸ ﾀｰﾝ ｶﾞ|　ideographic　space　|￥１００ ￦ ￡ ￣|ﾡﾢﾣ""".replace("\n", "|").split("|")

SCRIPTS = """日本語の写真|東京タワーの夜景|かわいい猫です。|カタカナ・テスト|中文图片描述|繁體中文字|汉字，标点。|한국어 사진|한글\u3000띄어쓰기
\u1112\u1161\u11ab|صورة قطة|العربية ١٢٣|مرحبا بالعالم|تَشْكِيل|تصویر فارسی ۱۲۳|עברית|שָׁלוֹם|हिन्दी में लिखा|क्षत्रिय ज्ञान|नमस्ते १२३
বাংলা ছবি|தமிழ் படம்|తెలుగు|ಕನ್ನಡ|മലയാളം|ไทยภาษา สวัสดี ๑๒๓|ລາວ|မြန်မာ|ខ្មែរ ១២៣|བོད་ཡིག|ქართული ᲥᲐᲠᲗᲣᲚᲘ|Հայերեն|አማርኛ|ᏣᎳᎩ Ꭰ ꭰ
Привет, мир!|Фото кошки 2020 года|ЁЖИК ёжик|Українська Її Ґ|Ελληνικά|ΕΛΛΗΝΙΚΑ ΠΑΡΑΔΕΙΓΜΑ|ⲕⲟⲡⲧ|𐐀𐐨 Deseret|𐤀𐤁|𓀀𓂀|ߊߋ|ᠮᠣᠩᠭᠣᠯ
१ ٢ ३ ४ 五 六 七 ７ ８|Ⅳ ⅳ ㊿ ① ⑳ ½ ↉|〇 零 一 二|mixed 日本 and русский и العربية|a日b本c|1日2本""".replace("\n", "|").split("|")

EMOJI = """🙂|🎉🎉🎉|👍🏽 👍🏿|👩‍👩‍👧‍👦|👩🏽‍🚀|🏳️‍🌈|🏴󠁧󠁢󠁥󠁮󠁧󠁿|🇩🇪🇫🇷|1️⃣ #️⃣|❤️ ❤ ♥|☀️☁️☂️|✈️|(╯°□°)╯︵ ┻━┻|¯\\_(ツ)_/¯|ʕ•ᴥ•ʔ|( ͡° ͜ʖ ͡°)|♪♫|→←↑↓⇒|∀x∈ℝ: ⌈x⌉|α²+β³=γ
★★★☆☆|▲▼◆●|┌─┐│└┘|░▒▓█|☕️time|🙂text🙂text|🫠🫡|🥲|𝄞|💩\ufe0f""".replace("\n", "|").split("|")

MOJIBAKE_SOURCES = ["café", "naïve", "it’s", "“quoted”", "…", "– dash — dash", "€100", "à la mode", "às vezes", "àquele",
                    "São Paulo ação", "schön grüße", "Łódź ąęć", "привет мир", "Ελλάδα", "日本語", "🙂", "İstanbul", "ñ", "™",
                    "déjà vu", "½ cup", "x²", "«bonjour»", "Žižek", "Š", "voilà le travail", "ação é não"]
CODECS = ["latin-1", "cp1252", "cp1251", "cp1250", "cp1253", "cp1254", "cp1257", "iso-8859-2", "mac_roman", "cp437"]

MOJIBAKE = """cafÃ©|â€™|itâ€™s|â€œquotedâ€\u009d|â€œ like this â€�|sÃ³|schÃ¶n|voilÃ le travail|Ã la mode|Ã  la mode|fÃ cil|Ã s vezes
Ã quele|âœ” No problems|&macr;\\_(ã\x83\x84)_/&macr;|Ã�|Â©2020|Â£5|10Â°C|l’humanitÃ©|ÃƒÂ©|Ã¢â‚¬â„¢|ÃƒÆ’Ã‚Â©|â\x80\x99|\x93quoted\x94
\x85|it\x92s|caf\xe9 \x80|â€¦and so on|ðŸ™‚|ðŸ˜€ face|рџ™‚|Ð¿Ñ€Ð¸Ð²ÐµÑ‚|РџСЂРёРІРµС‚|Î•Î»Î»Î¬Î´Î±|à¤¹à¤¿|Ø§Ù„Ø¹Ø±Ø¨ÙŠØ©|ä¸­æ–‡|æ—¥æœ¬èªž|í•œêµ­ì–´
cafÃ© and café|itâ€™s café time|clean é then mojibake Ã©|Ã|Â|ÃÂ|Ã Â|AÂ B|wellÂ done|Å|Å Å|Ã¥|Å¡|Å½|œ|œuvre|À°|×²|√±|‚Ä¶|вЂ™|ā€™|β€™|ГўВЂВ™s
à²|ØªØ­|┬®|Γé¼|ÔÇÖ|├®|Жђ|a\ufffdb|Ã\ufffd|â\ufffd\ufffd|í\xa0½í¸\x80|À\x80|\x81\x8d""".replace("\n", "|").split("|")

ENTITIES = """&amp;|&amp;amp;|&amp;amp;amp;|Tom &amp; Jerry|Tom & Jerry|AT&T|&lt;b&gt;bold&lt;/b&gt;|<b>&amp;</b>|a &lt b|&copy 2020|&copy;2020|&COPY; &REG;
caf&eacute;|caf&eacute|P&EACUTE;REZ|BUNDESSTRA&SZLIG;E|&NTILDE; &nTILDE;|&hellip; &mdash; &ndash;|&nbsp;x&nbsp;|&#39;s|it&#39;s|it&#x2019;s|it&rsquo;s|&#x27;
&#65;&#066;&#0067;|&#x41;&#X42;|&#65|&#65x|&#;|&#x;|&#xZZ;|&#128512;|&#x1F600;|&#55357;&#56832;|&#0;|&#128;|&#150;|&#x85;|&#1;|&#11;|&#13;|&#59;|&#38;amp;
&#1114112;|&#99999999999;|&#xFFFE;|&#xFDD0;|&notit;|&not;it|this&not that|&notin;|&Jscr;ohn &HilbertSpace;ancock|&checkmark;|&fjlig;|&NotEqualTilde;
&unknown;|&;|&|&&|&&amp;&|&amp|&ampx|&quot;quoted&quot;|&quot|&apos;s|&Amp;|&AMP;|&aMP;|&lt;start_of_text&gt;|&amp;lt;p&amp;gt;|&rlm;&lrm;|&zwj;&zwnj;
a&tab;b|a&Tab;b&NewLine;c|&ThickSpace;|&shy;|&ii;&DD;|&aacute&eacute;|&frac12; &frac14 &sup2;|price&colon; 5&dollar;|&CounterClockwiseContourIntegral;""".replace("\n", "|").split("|")

CONTROLS = ["\t tab\tbetween\t", "line\nbreak", "line\r\nbreak", "line\rbreak", "a\x0bb", "a\x0cb", "a\u2028b\u2029c", "a\x85b", "a\xa0b", "a\u00adb",
            "a\u200bb", "a\u200cb\u200dc", "\u200e\u200fx", "\u202aembed\u202c", "\u2060word\u2060", "\ufeffbom", "in\ufeffside", "a\u2000b\u2003c\u3000d",
            "a\u1680b", "a\u180eb", "a\u202fb\u205fc", "\x01\x02\x03", "bell\x07", "del\x7f", "a\x1cb\x1db\x1eb\x1fb", "\x1b[31mred\x1b[0m", "\x1b[1;32;44mx\x1b[K",
            "\x1b[mplain", "\x1b]0;title\x07", "\x1b[12", "\x1b", "a\u206ab\u206f", "\ufff9a\ufffab\ufffb", "\ufffc", "\ufffd", "\ufffd\ufffd x", "\ufffe", "\U0010ffff",
            "\ue000 private", "\uf8ff", "", " ", "   ", "\n\n", " lead", "trail ", "a  b   c", "<\n&amp;", "&amp;\n<\n&amp;", "\u0600\u0601", "a\u034fb", "\U000e0041"]

SPECIAL = ["<start_of_text>", "<end_of_text>", "<START_OF_TEXT>", "a<start_of_text>b", "<<start_of_text>>", "!<start_of_text>", "<start_of_text>s", "<start_of_text",
           "start_of_text", "<ſtart_of_text>", "<|endoftext|>", "<end_of_text><end_of_text>", "a <end_of_text> b", "</w>", "a</w>", "ab</w> c", "<ſtart_of_text><start_of_text>"]

QUOTES = ["“double” ‘single’", "„low“ ‚low‘", "‟x‟ ‛y‛", "«guillemets» ‹single›", "′prime″", "`grave´", "ʻokina ʼ", "''", '""', "‘s", "’S", "’re’ve", "「日本」", "‘Tis the ‘80s"]

PUNCTUATION = [mark * n for mark in ".,!?-_*#=~" for n in (1, 2, 3, 7)]

LONG = ["photo " * 30, "photo " * 75, "photo " * 76, "photo " * 200, "a" * 500, "1" * 100, "!" * 400, "日" * 120, "🙂" * 60, "antidisestablishmentarianism " * 20,
        "word, " * 40, "é" * 300, "Ã©" * 90, "x" * 74 + " y z w", " ".join("abcdefghijklmnopqrstuvwxyz" * 3)]

BROKEN_BYTES = [b"\xff", b"caf\xe9", b"\xc3", b"\xc3(", b"\xe2\x82", b"\xe2\x82 x", b"\xf0\x9f\x98", b"\xf0\x9f\x98a", b"\xed\xa0\x80", b"\xed\xb0\x80",
                b"\xed\xa0\xbd\xed\xb8\x80", b"\xc0\x80", b"\xe0\x80\x80", b"\xf4\x90\x80\x80", b"\xf8\x88\x80\x80\x80", b"ok \x80\x81 ok", b"\xe9\xe9\xe9", b"a\xc2", b"\xfe\xff\x41"]


def decoded_wrongly():
    """Every source in every encoding that can hold its bytes, and some twice over."""
    for source in MOJIBAKE_SOURCES:
        for codec in CODECS:
            try:
                once = source.encode("utf-8").decode(codec)
            except UnicodeDecodeError:
                continue
            yield once
            if codec in ("latin-1", "mac_roman"):
                yield once.encode("utf-8").decode("latin-1")


def captions():
    for group in (WORDS, CONTRACTIONS, ACCENTS, SCRIPTS, EMOJI, MOJIBAKE, decoded_wrongly(), ENTITIES, CONTROLS, SPECIAL, QUOTES, PUNCTUATION, LONG):
        yield from (caption.encode("utf-8") for caption in group)
    yield from BROKEN_BYTES


def open_clip_tokenizer(vocabulary):
    """SimpleTokenizer alone: the whole package wants torchvision."""
    folder = importlib.util.find_spec("open_clip").submodule_search_locations[0]
    spec = importlib.util.spec_from_file_location("open_clip_tokenizer", folder + "/tokenizer.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.SimpleTokenizer(vocabulary)


def main(vocabulary, output):
    tokenizer = open_clip_tokenizer(vocabulary)
    with open(output, "w", encoding="ascii", newline="\n") as file:
        for raw in dict.fromkeys(captions()):
            text = raw.decode("utf-8", "replace")
            ids = tokenizer(text)[0].tolist()
            length = len([tokenizer.sot_token_id, *tokenizer.encode(text), tokenizer.eot_token_id])
            row = {"text": text} if text.encode("utf-8") == raw else {"hex": raw.hex()}
            row["clean"] = tokenizer.clean_fn(text)
            row["ids"] = ids[: min(length, 77)]
            file.write(json.dumps(row) + "\n")


main(*sys.argv[1:])
