/* Preloaded into a program: writes down, in one order, what it does to the files of one folder,
 * and lets one of these calls fail.
 *
 *   DISK_FOLDER  whose files are watched
 *   DISK_TRACE   where the calls are written down
 *   DISK_FAIL    "5 28": the fifth call fails with error 28, and every one after it;
 *                "5 28 once": that one alone;
 *                "5 28 short": the fifth writes half of its data, if it writes, before the others fail;
 *                "foreign": the file system knows no rights, flushes no folders, and cannot rename
 *                without replacing
 *   DISK_FULL    a file with a number: while it is not 0, no write finds room, but to shared memory
 *                (`-shm`), which is no data
 *
 * One record a call: the kind (1 byte), the length of the name (2), offset (8), length (8), the
 * file's name, the data, which is the new name where it is renamed; numbers as this machine writes
 * them. The folder itself has the empty name.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <unistd.h>

enum kind { WRITE = 'w', TRUNCATE = 't', SYNC = 's', UNLINK = 'u', RENAME = 'r' };

static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;
static const char *folder;
static int trace = -1;
static long calls, fail_at, fail_with, fail_once, fail_short, is_foreign;
static volatile int64_t *is_full;
/* Whether the write that this thread makes is cut in half. */
static __thread int is_half;

static ssize_t (*real_write)(int, const void *, size_t);
static ssize_t (*real_pwrite)(int, const void *, size_t, off_t);
static int (*real_ftruncate)(int, off_t);
static int (*real_fsync)(int);
static int (*real_fdatasync)(int);
static int (*real_unlink)(const char *);
static int (*real_rename)(const char *, const char *);
static int (*real_renameat2)(int, const char *, int, const char *, unsigned);
static int (*real_fchmod)(int, mode_t);

__attribute__((constructor)) static void begin(void) {
    real_write = dlsym(RTLD_NEXT, "write");
    real_pwrite = dlsym(RTLD_NEXT, "pwrite64");
    real_ftruncate = dlsym(RTLD_NEXT, "ftruncate64");
    real_fsync = dlsym(RTLD_NEXT, "fsync");
    real_fdatasync = dlsym(RTLD_NEXT, "fdatasync");
    real_unlink = dlsym(RTLD_NEXT, "unlink");
    real_rename = dlsym(RTLD_NEXT, "rename");
    real_renameat2 = dlsym(RTLD_NEXT, "renameat2");
    real_fchmod = dlsym(RTLD_NEXT, "fchmod");
    folder = getenv("DISK_FOLDER");
    const char *path = getenv("DISK_TRACE"), *fail = getenv("DISK_FAIL"), *full = getenv("DISK_FULL");
    if (path)
        trace = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (full) {
        int file = open(full, O_RDONLY | O_CLOEXEC);
        void *mapped = MAP_FAILED;
        if (file >= 0)
            mapped = mmap(NULL, sizeof *is_full, PROT_READ, MAP_SHARED, file, 0);
        if (mapped == MAP_FAILED)
            abort();
        close(file);
        is_full = mapped;
    }
    if (fail) {
        char *end;
        fail_at = strtol(fail, &end, 10);
        fail_with = strtol(end, &end, 10);
        fail_once = strstr(end, "once") != NULL;
        fail_short = strstr(end, "short") != NULL;
        is_foreign = strcmp(fail, "foreign") == 0;
    }
}

/* The name within the folder; 0 if it is another's. */
static const char *within(const char *path) {
    size_t length = folder ? strlen(folder) : 0;
    if (!length || strncmp(path, folder, length) != 0)
        return NULL;
    return path[length] == '/' ? path + length + 1 : path[length] == 0 ? path + length : NULL;
}

static const char *name_of(int file, char *path, size_t room) {
    char link[64];
    if (trace < 0 && !is_full)
        return NULL;
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, room - 1);
    if (length < 0)
        return NULL;
    path[length] = 0;
    return within(path);
}

static void put(const void *data, size_t length) {
    for (const char *at = data; length > 0;) {
        ssize_t written = real_write(trace, at, length);
        if (written < 0)
            abort();
        at += written, length -= written;
    }
}

static void note(char kind, const char *name, uint64_t offset, const void *data, uint64_t length) {
    if (trace < 0)
        return;
    uint16_t letters = strlen(name);
    put(&kind, 1), put(&letters, 2), put(&offset, 8), put(&length, 8), put(name, letters);
    if (data)
        put(data, length);
}

static int is_shared_memory(const char *name) {
    size_t length = strlen(name);
    return length >= 4 && strcmp(name + length - 4, "-shm") == 0;
}

/* Whether this call is one that fails; what the program notes by itself never does. */
static int fails(const char *name, int is_write) {
    if (is_full && *is_full && is_write && !is_shared_memory(name)) {
        errno = ENOSPC;
        return 1;
    }
    if (!fail_at || strcmp(name, "acknowledged") == 0)
        return 0;
    calls++;
    if (fail_once ? calls != fail_at : calls < fail_at)
        return 0;
    if (fail_short && calls == fail_at) {
        is_half = is_write;
        return 0;
    }
    errno = fail_with;
    return 1;
}

static size_t part(size_t length) {
    return is_half ? (length + 1) / 2 : length;
}

static int refuse(int error) {
    errno = error;
    return -1;
}

#define WATCHED(file, result, is_write, real, then)                                               \
    char path[4096];                                                                              \
    const char *name = name_of(file, path, sizeof path);                                          \
    if (!name)                                                                                    \
        return real;                                                                              \
    pthread_mutex_lock(&one_at_a_time);                                                           \
    result done = fails(name, is_write) ? -1 : real;                                              \
    int error = errno;                                                                            \
    is_half = 0;                                                                                  \
    if (done >= 0)                                                                                \
        then;                                                                                     \
    pthread_mutex_unlock(&one_at_a_time);                                                         \
    errno = error;                                                                                \
    return done

ssize_t write(int file, const void *data, size_t length) {
    WATCHED(file, ssize_t, 1, real_write(file, data, part(length)),
            note(WRITE, name, lseek(file, 0, SEEK_CUR) - done, data, done));
}

ssize_t pwrite64(int file, const void *data, size_t length, off64_t offset) {
    WATCHED(file, ssize_t, 1, real_pwrite(file, data, part(length), offset),
            note(WRITE, name, offset, data, done));
}

ssize_t pwrite(int file, const void *data, size_t length, off_t offset) {
    return pwrite64(file, data, length, offset);
}

int ftruncate64(int file, off64_t length) {
    WATCHED(file, int, 0, real_ftruncate(file, length), note(TRUNCATE, name, length, NULL, 0));
}

int ftruncate(int file, off_t length) {
    return ftruncate64(file, length);
}

int fsync(int file) {
    WATCHED(file, int, 0, is_foreign && !*name ? refuse(EINVAL) : real_fsync(file),
            note(SYNC, name, 0, NULL, 0));
}

int fdatasync(int file) {
    WATCHED(file, int, 0, real_fdatasync(file), note(SYNC, name, 0, NULL, 0));
}

int unlink(const char *path) {
    const char *name = trace < 0 ? NULL : within(path);
    if (!name)
        return real_unlink(path);
    pthread_mutex_lock(&one_at_a_time);
    int done = real_unlink(path), error = errno;
    if (done == 0)
        note(UNLINK, name, 0, NULL, 0);
    pthread_mutex_unlock(&one_at_a_time);
    errno = error;
    return done;
}

int fchmod(int file, mode_t rights) {
    char path[4096];
    return is_foreign && name_of(file, path, sizeof path) ? refuse(EPERM) : real_fchmod(file, rights);
}

#define RENAMED(real)                                                                             \
    const char *name = trace < 0 ? NULL : within(from), *other = within(to);                      \
    if (!name || !other)                                                                          \
        return real;                                                                              \
    pthread_mutex_lock(&one_at_a_time);                                                           \
    int done = fails(name, 0) ? -1 : real, error = errno;                                         \
    if (done == 0)                                                                                \
        note(RENAME, name, 0, other, strlen(other));                                              \
    pthread_mutex_unlock(&one_at_a_time);                                                         \
    errno = error;                                                                                \
    return done

int rename(const char *from, const char *to) {
    RENAMED(real_rename(from, to));
}

int renameat2(int folder_from, const char *from, int folder_to, const char *to, unsigned flags) {
    RENAMED(is_foreign && flags ? refuse(EINVAL) : real_renameat2(folder_from, from, folder_to, to, flags));
}
