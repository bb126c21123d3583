/* Preloaded into a program: writes down, in one order, what it does to the files of one folder, and
 * lets its calls on them fail.
 *
 *   DISK_FOLDER  whose files are watched, those in its folders, too
 *   DISK_TRACE   where the calls are written down that change something, and flushes that fail (`x`);
 *                none are unless it is set
 *   DISK_FULL    a file with a number: while it is not 0, no write finds room, but to shared memory
 *                (`-shm`), which is no data
 *   DISK_MOUNTS  what is opened in place of the system's list of mounts
 *
 * Which calls fail says whoever writes to the file `faults` in the folder, with one call:
 *
 *   "KINDS FIRST COUNT ERROR"  of the calls of these kinds, as the letters below, the one of this
 *                              number fails with this error, and so do those after it, COUNT in all,
 *                              or without end if COUNT is 0
 *   "... short"                the same, but the first one reads or writes half of its data
 *   "foreign"                  none, but the file system knows no rights, flushes no folders, and
 *                              cannot rename without replacing
 *   "none"                     none
 *
 * In place of that the file gets how many calls there were since the last time, by kind, a letter and
 * a number a line; `!` counts those that failed.
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
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <unistd.h>

enum kind {
    OPEN = 'o', CLOSE = 'c', READ = 'r', WRITE = 'w', TRUNCATE = 't', SYNC = 's', UNLINK = 'u',
    RENAME = 'n', LOCK = 'l', UNLOCK = 'f', MAP = 'm', LOOK = 'i', RIGHTS = 'p', FAILED = '!',
    SYNC_FAILED = 'x'
};

static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;
static const char *folder, *mounts;
static int trace = -1;
/* What fails, and how many calls there were of those that may. */
static char kinds[32];
static long first, count, could_fail;
static int error_of_all, is_short, is_foreign;
static long calls[128];
static volatile int64_t *is_full;
/* Whether this thread reads or writes half. */
static __thread int is_half;

/* The function that would be called without this library. */
#define NEXT(function)                                                                             \
    ({                                                                                             \
        static __typeof__(function) *next;                                                         \
        if (!next)                                                                                 \
            next = (__typeof__(function) *)dlsym(RTLD_NEXT, #function);                            \
        next;                                                                                      \
    })

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("DISK_TRACE"), *full = getenv("DISK_FULL");
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
    folder = getenv("DISK_FOLDER");
    mounts = getenv("DISK_MOUNTS");
}

/* The name within the folder; 0 if it is another's. The volatile pointer is one that may be 0,
 * whatever the header says of the function that has it. */
static const char *place(const char *volatile path) {
    size_t length = folder ? strlen(folder) : 0;
    if (!length || !path || strncmp(path, folder, length) != 0)
        return NULL;
    return path[length] == '/' ? path + length + 1 : path[length] == 0 ? path + length : NULL;
}

static int is_faults(const char *name) {
    return name && strcmp(name, "faults") == 0;
}

/* The same, of what is watched. */
static const char *within(const char *path) {
    const char *name = place(path);
    return is_faults(name) ? NULL : name;
}

static const char *path_of(int file) {
    static __thread char path[4096];
    char link[64];
    if (!folder || file < 0)
        return NULL;
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0)
        return NULL;
    path[length] = 0;
    return path;
}

static const char *name_of(int file) {
    return within(path_of(file));
}

static void put(const void *data, size_t length) {
    for (const char *at = data; length > 0;) {
        ssize_t written = NEXT(write)(trace, at, length);
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

/* Whether this call is one that fails. */
static int fails(enum kind kind, const char *name) {
    calls[kind]++;
    if (kind == WRITE && is_full && *is_full && !is_shared_memory(name)) {
        errno = ENOSPC;
        return 1;
    }
    if (!first || !strchr(kinds, kind))
        return 0;
    could_fail++;
    if (could_fail < first || (count && could_fail >= first + count))
        return 0;
    calls[FAILED]++;
    is_half = is_short && could_fail == first && (kind == READ || kind == WRITE);
    errno = error_of_all;
    return !is_half;
}

static size_t part(size_t length) {
    return is_half ? (length + 1) / 2 : length;
}

static int refuse(int error) {
    errno = error;
    return -1;
}

/* Takes what is to fail from now on, and answers with what was called until now. */
static ssize_t take_faults(int file, const char *text, size_t length) {
    char faults[128] = "", report[1024];
    int at = 0;
    memcpy(faults, text, length < sizeof faults ? length : sizeof faults - 1);
    pthread_mutex_lock(&one_at_a_time);
    for (int kind = 0; kind < 128; kind++)
        if (calls[kind])
            at += snprintf(report + at, sizeof report - at, "%c %ld\n", kind, calls[kind]);
    memset(calls, 0, sizeof calls);
    first = count = could_fail = 0;
    error_of_all = 0;
    sscanf(faults, "%31s %ld %ld %d", kinds, &first, &count, &error_of_all);
    is_short = strstr(faults, "short") != NULL;
    is_foreign = strcmp(faults, "foreign") == 0;
    pthread_mutex_unlock(&one_at_a_time);
    return NEXT(write)(file, report, at) < 0 ? -1 : (ssize_t)length;
}

/* A call of the kind on the file of the name: does `real`, unless it fails, and `then` what is to be
 * done after it within the one order. */
#define WATCHED(kind, name_, result, real, then)                                                   \
    const char *name = name_;                                                                      \
    if (!name)                                                                                     \
        return real;                                                                               \
    pthread_mutex_lock(&one_at_a_time);                                                            \
    result done = fails(kind, name) ? (result)-1 : real;                                                 \
    int error = errno;                                                                             \
    is_half = 0;                                                                                   \
    if (done != (result)-1)                                                                        \
        then;                                                                                      \
    else if ((kind) == SYNC)                                                                       \
        note(SYNC_FAILED, name, 0, NULL, 0);                                                       \
    pthread_mutex_unlock(&one_at_a_time);                                                          \
    errno = error;                                                                                 \
    return done

#define NOTHING (void)0

static int opened(const char *path, int flags, va_list rest, int (*real)(const char *, int, ...)) {
    int is_new = flags & O_CREAT || (flags & O_TMPFILE) == O_TMPFILE;
    mode_t rights = is_new ? va_arg(rest, mode_t) : 0;
    if (mounts && strcmp(path, "/proc/self/mountinfo") == 0)
        path = mounts;
    WATCHED(OPEN, within(path), int, real(path, flags, rights), NOTHING);
}

#define OPENS(function)                                                                            \
    int function(const char *path, int flags, ...) {                                               \
        va_list rest;                                                                              \
        va_start(rest, flags);                                                                     \
        int done = opened(path, flags, rest, NEXT(function));                                      \
        va_end(rest);                                                                              \
        return done;                                                                               \
    }
OPENS(open)
OPENS(open64)

/* Where it fails the file is closed all the same. */
int close(int file) {
    const char *name = name_of(file);
    if (!name)
        return NEXT(close)(file);
    pthread_mutex_lock(&one_at_a_time);
    int done = NEXT(close)(file), error = errno;
    if (fails(CLOSE, name))
        done = -1, error = errno;
    pthread_mutex_unlock(&one_at_a_time);
    errno = error;
    return done;
}

ssize_t read(int file, void *data, size_t length) {
    WATCHED(READ, name_of(file), ssize_t, NEXT(read)(file, data, part(length)), NOTHING);
}

ssize_t pread64(int file, void *data, size_t length, off64_t offset) {
    WATCHED(READ, name_of(file), ssize_t, NEXT(pread64)(file, data, part(length), offset), NOTHING);
}

ssize_t pread(int file, void *data, size_t length, off_t offset) {
    return pread64(file, data, length, offset);
}

ssize_t write(int file, const void *data, size_t length) {
    if (is_faults(place(path_of(file))))
        return take_faults(file, data, length);
    WATCHED(WRITE, name_of(file), ssize_t, NEXT(write)(file, data, part(length)),
            note(WRITE, name, lseek(file, 0, SEEK_CUR) - done, data, done));
}

ssize_t pwrite64(int file, const void *data, size_t length, off64_t offset) {
    WATCHED(WRITE, name_of(file), ssize_t, NEXT(pwrite64)(file, data, part(length), offset),
            note(WRITE, name, offset, data, done));
}

ssize_t pwrite(int file, const void *data, size_t length, off_t offset) {
    return pwrite64(file, data, length, offset);
}

int ftruncate64(int file, off64_t length) {
    WATCHED(TRUNCATE, name_of(file), int, NEXT(ftruncate64)(file, length),
            note(TRUNCATE, name, length, NULL, 0));
}

int ftruncate(int file, off_t length) {
    return ftruncate64(file, length);
}

int fsync(int file) {
    WATCHED(SYNC, name_of(file), int, is_foreign && !*name ? refuse(EINVAL) : NEXT(fsync)(file),
            note(SYNC, name, 0, NULL, 0));
}

int fdatasync(int file) {
    WATCHED(SYNC, name_of(file), int, NEXT(fdatasync)(file), note(SYNC, name, 0, NULL, 0));
}

int unlink(const char *path) {
    WATCHED(UNLINK, within(path), int, NEXT(unlink)(path), note(UNLINK, name, 0, NULL, 0));
}

int rename(const char *from, const char *to) {
    const char *other = within(to);
    WATCHED(RENAME, other ? within(from) : NULL, int, NEXT(rename)(from, to),
            note(RENAME, name, 0, other, strlen(other)));
}

int renameat2(int folder_from, const char *from, int folder_to, const char *to, unsigned flags) {
    const char *other = within(to);
    WATCHED(RENAME, other ? within(from) : NULL, int,
            is_foreign && flags ? refuse(EINVAL)
                                : NEXT(renameat2)(folder_from, from, folder_to, to, flags),
            note(RENAME, name, 0, other, strlen(other)));
}

static int locked(int file, int command, void *with, int (*real)(int, int, ...)) {
    int is_lock = command == F_GETLK || command == F_SETLK || command == F_SETLKW;
    int is_unlock = is_lock && command != F_GETLK && ((struct flock *)with)->l_type == F_UNLCK;
    WATCHED(is_unlock ? UNLOCK : LOCK, is_lock ? name_of(file) : NULL, int,
            real(file, command, with), NOTHING);
}

#define LOCKS(function)                                                                            \
    int function(int file, int command, ...) {                                                     \
        va_list rest;                                                                              \
        va_start(rest, command);                                                                   \
        void *with = va_arg(rest, void *);                                                         \
        va_end(rest);                                                                              \
        return locked(file, command, with, NEXT(function));                                        \
    }
LOCKS(fcntl)
LOCKS(fcntl64)

#define MAPS(function, offset)                                                                     \
    void *function(void *at, size_t length, int rights, int flags, int file, offset from) {        \
        WATCHED(MAP, name_of(file), void *, NEXT(function)(at, length, rights, flags, file, from), \
                NOTHING);                                                                          \
    }
MAPS(mmap, off_t)
MAPS(mmap64, off64_t)

/* No header declares these here, so that what they fill in may be anything. */
#define LOOKS_AT(function, type, of)                                                               \
    int function(type at, void *found) {                                                           \
        WATCHED(LOOK, of(at), int, NEXT(function)(at, found), NOTHING);                            \
    }
LOOKS_AT(stat, const char *, within)
LOOKS_AT(stat64, const char *, within)
LOOKS_AT(lstat, const char *, within)
LOOKS_AT(lstat64, const char *, within)
LOOKS_AT(fstat, int, name_of)
LOOKS_AT(fstat64, int, name_of)

int statx(int at, const char *path, int flags, unsigned what, void *found) {
    WATCHED(LOOK, path && !*path ? name_of(at) : within(path), int,
            NEXT(statx)(at, path, flags, what, found), NOTHING);
}

int fchmod(int file, mode_t rights) {
    WATCHED(RIGHTS, name_of(file), int, is_foreign ? refuse(EPERM) : NEXT(fchmod)(file, rights),
            NOTHING);
}

int fchown(int file, uid_t user, gid_t group) {
    WATCHED(RIGHTS, name_of(file), int, NEXT(fchown)(file, user, group), NOTHING);
}
