#include "litert_functions.h"

#include <dlfcn.h>
#include <stdlib.h>

const LiteRTFunctions *litert_functions(void *library, const char **missing) {
    void *found;
    LiteRTFunctions *table = malloc(sizeof *table);
    *missing = "memory";
    if (!table) return NULL;
/* dlsym gives a pointer to data; POSIX has it converted this way. */
#define FIND(name) \
    *missing = "litert_lm_" #name; \
    found = dlsym(library, *missing); \
    if (!found) goto absent; \
    *(void **)(void *)&table->name = found;
    LITERT_FUNCTIONS(FIND)
#undef FIND
    *missing = NULL;
    return table;
absent:
    free(table);
    return NULL;
}
