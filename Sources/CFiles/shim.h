// Calls about files that the C library's module for Swift does not show.
#ifdef __linux__
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

// renameat2(2) with RENAME_NOREPLACE. glibc declares it under _GNU_SOURCE alone, and musl has none.
static inline int rename_without_replacing(int old_folder, const char *old_name, int new_folder, const char *new_name) {
  return (int)syscall(SYS_renameat2, old_folder, old_name, new_folder, new_name, 1u);
}
#else
#include <stdio.h>

static inline int rename_without_replacing(int old_folder, const char *old_name, int new_folder, const char *new_name) {
  return renameatx_np(old_folder, old_name, new_folder, new_name, RENAME_EXCL);
}
#endif
