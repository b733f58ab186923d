/* The valid name that was probably meant: for "did you mean" in errors. */
#ifndef TIC_BASE_NAMES_H
#define TIC_BASE_NAMES_H

/* Of name(list, 0) .. name(list, count - 1), the one that is fewest insertions, deletions,
 * substitutions and swaps of neighbours from `given`, if a third of its letters suffice; else the
 * first that begins with `given`; else NULL. The result is borrowed from the list. */
const char *tic_nearest(const char *given, const char *(*name)(const void *list, int i),
                        const void *list, int count);
/* `name` for a plain array of strings: list is a const char *const *. */
const char *tic_name_in(const void *list, int i);

#endif
