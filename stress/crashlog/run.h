#include <stdlib.h>
int dev_main(const char *folder, unsigned depth);
