/* Reads tests/golden/tokens.jsonl. */
#include "tests/data/golden.h"
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

golden_list golden_open(void) {
    golden_list list = {.file = fopen(GOLDEN_TOKENS, "r")};
    cr_assert(list.file != NULL, "cannot read %s", GOLDEN_TOKENS);
    return list;
}

/* "c3a9" -> its bytes. */
static const char *from_hex(golden_list *list, const char *hex) {
    size_t count = strlen(hex) / 2;
    cr_assert(count < sizeof list->bytes);
    for (size_t i = 0; i < count; i++)
        sscanf(hex + 2 * i, "%2hhx", (unsigned char *)&list->bytes[i]);
    list->bytes[count] = 0;
    return list->bytes;
}

bool golden_next(golden_list *list, golden_row *row) {
    json_error_t why;
    if (getline(&list->text, &list->room, list->file) < 0)
        return false;
    list->line++;
    json_decref(list->object);
    list->object = json_loads(list->text, 0, &why);
    cr_assert(list->object != NULL, "line %d: %s", list->line, why.text);
    const char *hex = json_string_value(json_object_get(list->object, "hex"));
    row->caption =
        hex ? from_hex(list, hex) : json_string_value(json_object_get(list->object, "text"));
    row->clean = json_string_value(json_object_get(list->object, "clean"));
    row->ids = json_object_get(list->object, "ids");
    cr_assert(row->caption && row->clean && json_is_array(row->ids), "line %d", list->line);
    return true;
}

void golden_close(golden_list *list) {
    json_decref(list->object);
    free(list->text);
    fclose(list->file);
}
