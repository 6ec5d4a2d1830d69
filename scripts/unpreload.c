/* Preloaded into the interpreter after a sanitizer's library: takes
** LD_PRELOAD out of the environment, so that the programs which specs start
** (sh, ps, curl ...) run without the sanitizer. They are not ours to check,
** and some deadlock under it.
*/
#include <stdlib.h>

__attribute__((constructor)) static void unpreload(void) {
  unsetenv("LD_PRELOAD");
}
