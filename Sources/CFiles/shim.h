// Calls about files that the C library's module for Swift does not show.
#ifdef __linux__
#include <errno.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

// renameat2(2) with RENAME_NOREPLACE. glibc declares it under _GNU_SOURCE alone, and musl has none.
static inline int rename_without_replacing(int old_folder, const char *old_name, int new_folder, const char *new_name) {
  return (int)syscall(SYS_renameat2, old_folder, old_name, new_folder, new_name, 1u);
}

// splice(2) from a file to a pipe with SPLICE_F_NONBLOCK: it does not wait for room in the pipe, whoever shares it.
static inline long splice_without_waiting(int file, long long *offset, int pipe, unsigned long count) {
  return syscall(SYS_splice, file, offset, pipe, (void *)0, count, 2u);
}
#else
#include <errno.h>
#include <stdio.h>

// There is none.
static inline long splice_without_waiting(int file, long long *offset, int pipe, unsigned long count) {
  (void)file, (void)offset, (void)pipe, (void)count;
  errno = ENOSYS;
  return -1;
}

static inline int rename_without_replacing(int old_folder, const char *old_name, int new_folder, const char *new_name) {
  return renameatx_np(old_folder, old_name, new_folder, new_name, RENAME_EXCL);
}
#endif
