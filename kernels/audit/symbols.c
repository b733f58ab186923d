/* The functions of this process, from the ELF symbol tables of the program and its libraries. */
#include "kernels/audit/room.h"

#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { OBJECTS = 64 };

typedef struct object { /* a mapped file */
    const unsigned char *bytes;
    size_t size;
} object;

typedef struct reading {
    tic_symbols *out;
    object *objects;
    int object_count, capacity;
    bool own_table; /* the program has a symbol table */
    tic_status status;
    tic_error *err;
} reading;

/* The linker's: where marked functions begin and end; absent when there is none. */
extern const char __start_tic_product[] __attribute__((weak, visibility("hidden")));
extern const char __stop_tic_product[] __attribute__((weak, visibility("hidden")));
extern const char __start_tic_product_bf16[] __attribute__((weak, visibility("hidden")));
extern const char __stop_tic_product_bf16[] __attribute__((weak, visibility("hidden")));

static tic_role role_of(uint64_t address) {
    if (address >= (uintptr_t)__start_tic_product && address < (uintptr_t)__stop_tic_product)
        return TIC_ROLE_PRODUCT;
    if (address >= (uintptr_t)__start_tic_product_bf16 &&
        address < (uintptr_t)__stop_tic_product_bf16)
        return TIC_ROLE_PRODUCT_BF16;
    return TIC_ELSEWHERE;
}

/* ---- one object ------------------------------------------------------------------------------ */

static bool map_file(const char *path, object *out) {
    struct stat about;
    const int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return false;
    void *bytes = MAP_FAILED;
    if (fstat(file, &about) == 0 && about.st_size > (off_t)sizeof(Elf64_Ehdr))
        bytes = mmap(NULL, (size_t)about.st_size, PROT_READ, MAP_PRIVATE, file, 0);
    close(file);
    if (bytes == MAP_FAILED)
        return false;
    *out = (object){bytes, (size_t)about.st_size};
    return true;
}

/* The part [at, at + size) of the file; NULL when it is not all there. */
static const void *part(const object *o, uint64_t at, uint64_t size) {
    return at <= o->size && size <= o->size - at ? o->bytes + at : NULL;
}

static tic_status add(reading *r, uint64_t begin, uint64_t size, const char *name,
                      const char *file) {
    size_t capacity = (size_t)r->capacity;
    TIC_TRY(tic_reserve_one(&r->out->list, (size_t)r->out->count, &capacity, sizeof(tic_function),
                            r->err));
    r->capacity = (int)capacity;
    r->out->list[r->out->count++] = (tic_function){begin, begin + size, name, file, role_of(begin)};
    return TIC_OK;
}

static tic_status read_table(reading *r, const object *o, uint64_t base, const Elf64_Shdr *table,
                             const Elf64_Shdr *strings) {
    const Elf64_Sym *symbols = part(o, table->sh_offset, table->sh_size);
    const char *names = part(o, strings->sh_offset, strings->sh_size);
    const char *file = "";
    if (symbols == NULL || names == NULL || strings->sh_size == 0 ||
        names[strings->sh_size - 1] != '\0')
        return TIC_OK;
    for (uint64_t i = 0; i < table->sh_size / sizeof *symbols; i++) {
        const Elf64_Sym *symbol = &symbols[i];
        const int type = ELF64_ST_TYPE(symbol->st_info);
        if (symbol->st_name >= strings->sh_size)
            continue;
        if (type == STT_FILE) /* of the local symbols that follow */
            file = names + symbol->st_name;
        else if (ELF64_ST_BIND(symbol->st_info) != STB_LOCAL)
            file = "";
        if ((type == STT_FUNC || type == STT_GNU_IFUNC) && symbol->st_size > 0 &&
            symbol->st_shndx != SHN_UNDEF)
            TIC_TRY(
                add(r, base + symbol->st_value, symbol->st_size, names + symbol->st_name, file));
    }
    return TIC_OK;
}

static tic_status read_object(reading *r, const object *o, uint64_t base, bool own) {
    const Elf64_Ehdr *head = part(o, 0, sizeof *head);
    if (head == NULL || memcmp(head->e_ident, ELFMAG, SELFMAG) != 0 ||
        head->e_shentsize != sizeof(Elf64_Shdr))
        return TIC_OK;
    const Elf64_Shdr *sections = part(o, head->e_shoff, head->e_shnum * sizeof *sections);
    const Elf64_Shdr *table = NULL;
    for (int i = 0; sections != NULL && i < head->e_shnum;
         i++) /* the whole table if there is one */
        if (sections[i].sh_type == SHT_SYMTAB || (sections[i].sh_type == SHT_DYNSYM && !table))
            table = &sections[i];
    if (table == NULL || table->sh_link >= head->e_shnum)
        return TIC_OK;
    r->own_table |= own && table->sh_type == SHT_SYMTAB;
    return read_table(r, o, base, table, &sections[table->sh_link]);
}

static int visit(struct dl_phdr_info *info, size_t size, void *user) {
    reading *r = user;
    const bool own = info->dlpi_name == NULL || info->dlpi_name[0] == '\0';
    (void)size;
    if (r->object_count == OBJECTS || r->status != TIC_OK ||
        !map_file(own ? "/proc/self/exe" : info->dlpi_name, &r->objects[r->object_count]))
        return 0; /* its functions have no names, and no products */
    const object *o = &r->objects[r->object_count++];
    r->status = read_object(r, o, info->dlpi_addr, own && r->object_count == 1);
    return 0;
}

/* ---- all of them ----------------------------------------------------------------------------- */

static int by_address(const void *a, const void *b) {
    const tic_function *x = a, *y = b;
    if (x->begin != y->begin)
        return x->begin < y->begin ? -1 : 1;
    return x->end > y->end ? -1 : x->end < y->end;
}

int tic_symbols_find(const tic_symbols *symbols, uint64_t address) {
    int low = 0, high = symbols->count;
    while (low < high) { /* the first that begins after it */
        int middle = low + (high - low) / 2;
        if (symbols->list[middle].begin <= address)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == 0 || address >= symbols->list[low - 1].end)
        return -1;
    return low - 1;
}

static tic_status mark_libraries(tic_symbols *symbols, tic_error *err) {
    const void *entry;
    for (int i = 0; (entry = tic_gemm_blis_products(i)) != NULL; i++) {
        const int place = tic_symbols_find(symbols, (uintptr_t)entry);
        if (place < 0)
            return tic_fail(err, TIC_EINPUT, "audit: a micro-kernel of BLIS has no symbol");
        symbols->list[place].role = TIC_ROLE_PRODUCT;
    }
    return TIC_OK;
}

/* Several names of one function count once. */
static void drop_aliases(tic_symbols *symbols) {
    int kept = 0;
    qsort(symbols->list, (size_t)symbols->count, sizeof *symbols->list, by_address);
    for (int i = 0; i < symbols->count; i++)
        if (kept == 0 || symbols->list[i].begin != symbols->list[kept - 1].begin)
            symbols->list[kept++] = symbols->list[i];
    symbols->count = kept;
}

tic_status tic_symbols_new(tic_symbols *out, tic_error *err) {
    reading r = {.out = out, .err = err};
    *out = (tic_symbols){.list = NULL};
    TIC_TRY(tic_alloc(&r.objects, OBJECTS, sizeof(object), err));
    out->objects = r.objects;
    dl_iterate_phdr(visit, &r);
    if (r.status == TIC_OK && !r.own_table)
        r.status = tic_fail(err, TIC_EINPUT,
                            "audit: this program was stripped; its kernels cannot be told apart");
    drop_aliases(out);
    if (r.status == TIC_OK)
        r.status = mark_libraries(out, err);
    if (r.status != TIC_OK)
        tic_symbols_free(out);
    return r.status;
}

void tic_symbols_free(tic_symbols *symbols) {
    object *objects = symbols->objects;
    for (int i = 0; objects != NULL && i < OBJECTS; i++)
        if (objects[i].bytes != NULL)
            munmap((void *)(uintptr_t)objects[i].bytes, objects[i].size);
    tic_free(objects);
    tic_free(symbols->list);
    *symbols = (tic_symbols){.list = NULL};
}
