/* A disk that fails, and a record of what was written to it: preloaded into a command (LD_PRELOAD), passive until armed.

   What counts are calls on files whose path contains a text: `write` (write, pwrite, writev), `sync` (fsync, fdatasync),
   `rename`, `truncate`, `create` (open that makes a file), `unlink`. From the n-th of the chosen calls on, so many
   times: "fail" with an errno, "short" (half of a write is written, then ENOSPC), or "kill": SIGKILL in the place of
   the call. Every call on such a path is appended to a log, with its bytes: what a power cut may leave of it can be
   worked out from that (see power.py).

   What it does not see: memory that is mapped (of the ledger only the -shm file, which SQLite makes anew), and calls
   that do not go through the C library. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum action { PASSIVE, RECORD, FAIL, SHORT, KILL };

static struct {
    enum action action;
    char calls[64], path[256];
    long at, times, seen;
    int error, log;
} armed = {.log = -1};
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

#define REAL(name) ((__typeof__(&name))real(#name))

static void *real(const char *name) {
    void *found = dlsym(RTLD_NEXT, name);
    if (!found) abort();
    return found;
}

void faulty_disk_arm(const char *what, const char *calls, const char *path, long at, long times, long error,
                     const char *log) {
    static const char *const words[] = {"passive", "record", "fail", "short", "kill"};
    for (int i = 0; i < 5; i++)
        if (!strcmp(what, words[i])) armed.action = i;
    snprintf(armed.calls, sizeof armed.calls, "%s", calls);
    snprintf(armed.path, sizeof armed.path, "%s", path);
    armed.at = at;
    armed.times = times;
    armed.error = (int)error;
    armed.log = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

static int path_of(int fd, char *path) {
    char link[40];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return 1;
}

static int matters(const char *path) { return strstr(path, armed.path) != NULL; }

/* A line `call path\toffset\tlength\tother\n`, then the bytes. */
static void note(const char *call, const char *path, long offset, const void *bytes, size_t length, const char *other) {
    char head[2 * PATH_MAX + 100];
    int size = snprintf(head, sizeof head, "%s\t%s\t%ld\t%zu\t%s\n", call, path, offset, length, other);
    struct iovec parts[2] = {{head, (size_t)size}, {(void *)bytes, length}};
    if (armed.log >= 0 && REAL(writev)(armed.log, parts, 2) < 0) abort();
}

/* Whether this call fails: it is counted, and may be the end of the process. */
static int strikes(const char *call) {
    if (armed.action < FAIL || !strstr(armed.calls, call)) return 0;
    long number = ++armed.seen;
    if (number < armed.at || (armed.times && number >= armed.at + armed.times)) return 0;
    note("strike", call, number, "", 0, "");
    if (armed.action == KILL) {
        kill(getpid(), SIGKILL);
        pause();
    }
    errno = armed.error;
    return 1;
}

static ssize_t writing(int fd, const void *bytes, size_t length, long offset, const char *path) {
    if (strikes("write")) {
        size_t half = length / 2;
        if (armed.action != SHORT || half == 0) return -1;
        note("write", path, offset, bytes, half, "");
        return REAL(pwrite)(fd, bytes, half, offset);
    }
    note("write", path, offset, bytes, length, "");
    return (ssize_t)length + 1; /* go on */
}

static long place_of(int fd) {
    struct stat now;
    if (fcntl(fd, F_GETFL) & O_APPEND) return fstat(fd, &now) ? 0 : (long)now.st_size;
    return (long)lseek(fd, 0, SEEK_CUR);
}

#define WATCHED(fd) (armed.action != PASSIVE && (fd) != armed.log && path_of(fd, path) && matters(path))

ssize_t write(int fd, const void *bytes, size_t length) {
    char path[PATH_MAX];
    if (!WATCHED(fd)) return REAL(write)(fd, bytes, length);
    pthread_mutex_lock(&lock);
    long place = place_of(fd);
    ssize_t said = writing(fd, bytes, length, place, path);
    if (said >= 0 && said < (ssize_t)length) lseek(fd, place + said, SEEK_SET);
    if (said == (ssize_t)length + 1) said = REAL(write)(fd, bytes, length);
    pthread_mutex_unlock(&lock);
    return said;
}

ssize_t pwrite(int fd, const void *bytes, size_t length, off_t offset) {
    char path[PATH_MAX];
    if (!WATCHED(fd)) return REAL(pwrite)(fd, bytes, length, offset);
    pthread_mutex_lock(&lock);
    ssize_t said = writing(fd, bytes, length, (long)offset, path);
    if (said == (ssize_t)length + 1) said = REAL(pwrite)(fd, bytes, length, offset);
    pthread_mutex_unlock(&lock);
    return said;
}

ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t offset) { return pwrite(fd, bytes, length, offset); }

ssize_t writev(int fd, const struct iovec *parts, int count) {
    char path[PATH_MAX];
    if (!WATCHED(fd)) return REAL(writev)(fd, parts, count);
    ssize_t written = 0;
    for (int i = 0; i < count; i++) {
        if (parts[i].iov_len == 0) continue;
        ssize_t said = write(fd, parts[i].iov_base, parts[i].iov_len);
        if (said < 0) return written ? written : -1;
        written += said;
        if (said < (ssize_t)parts[i].iov_len) break;
    }
    return written;
}

static int syncing(int fd, int (*sync)(int)) {
    char path[PATH_MAX];
    if (!WATCHED(fd)) return sync(fd);
    pthread_mutex_lock(&lock);
    int said = strikes("sync") ? -1 : sync(fd);
    if (said == 0) note("sync", path, 0, "", 0, "");
    pthread_mutex_unlock(&lock);
    return said;
}

int fsync(int fd) { return syncing(fd, REAL(fsync)); }
int fdatasync(int fd) { return syncing(fd, REAL(fdatasync)); }

int ftruncate(int fd, off_t length) {
    char path[PATH_MAX];
    if (!WATCHED(fd)) return REAL(ftruncate)(fd, length);
    pthread_mutex_lock(&lock);
    int said = strikes("truncate") ? -1 : REAL(ftruncate)(fd, length);
    if (said == 0) note("truncate", path, (long)length, "", 0, "");
    pthread_mutex_unlock(&lock);
    return said;
}

int ftruncate64(int fd, off64_t length) { return ftruncate(fd, length); }

static const char *absolute(const char *path, char *whole) {
    if (path[0] == '/' || !getcwd(whole, PATH_MAX)) return path;
    strncat(whole, "/", PATH_MAX - strlen(whole) - 1);
    return strncat(whole, path, PATH_MAX - strlen(whole) - 1);
}

int rename(const char *from, const char *to) {
    char old[PATH_MAX], new[PATH_MAX];
    const char *source = absolute(from, old), *target = absolute(to, new);
    if (armed.action == PASSIVE || !(matters(source) || matters(target))) return REAL(rename)(from, to);
    pthread_mutex_lock(&lock);
    int said = strikes("rename") ? -1 : REAL(rename)(from, to);
    if (said == 0) note("rename", source, 0, "", 0, target);
    pthread_mutex_unlock(&lock);
    return said;
}

static int unlinking(const char *path) {
    char whole[PATH_MAX];
    const char *target = absolute(path, whole);
    if (armed.action == PASSIVE || !matters(target)) return REAL(unlink)(path);
    pthread_mutex_lock(&lock);
    int said = strikes("unlink") ? -1 : REAL(unlink)(path);
    if (said == 0) note("unlink", target, 0, "", 0, "");
    pthread_mutex_unlock(&lock);
    return said;
}

int unlink(const char *path) { return unlinking(path); }

int mkdir(const char *path, mode_t mode) {
    char whole[PATH_MAX];
    const char *target = absolute(path, whole);
    int said = REAL(mkdir)(path, mode);
    if (said == 0 && armed.action != PASSIVE && matters(target)) note("mkdir", target, 0, "", 0, "");
    return said;
}

static int opening(const char *path, int flags, mode_t mode, int (*open_)(const char *, int, ...)) {
    char whole[PATH_MAX];
    const char *target = absolute(path, whole);
    if (armed.action == PASSIVE || !(flags & (O_CREAT | O_TRUNC)) || !matters(target)) return open_(path, flags, mode);
    pthread_mutex_lock(&lock);
    int there = access(target, F_OK) == 0;
    int said = !there && strikes("create") ? -1 : open_(path, flags, mode);
    if (said >= 0 && !there) note("create", target, 0, "", 0, "");
    if (said >= 0 && there && flags & O_TRUNC) note("truncate", target, 0, "", 0, "");
    pthread_mutex_unlock(&lock);
    return said;
}

#define MODE(mode, last, flags)                                                                                        \
    mode_t mode = 0;                                                                                                   \
    if ((flags) & (O_CREAT | O_TMPFILE)) {                                                                             \
        va_list more;                                                                                                  \
        va_start(more, last);                                                                                          \
        mode = va_arg(more, mode_t);                                                                                   \
        va_end(more);                                                                                                  \
    }

int open(const char *path, int flags, ...) {
    MODE(mode, flags, flags)
    return opening(path, flags, mode, REAL(open));
}

int open64(const char *path, int flags, ...) {
    MODE(mode, flags, flags)
    return opening(path, flags, mode, REAL(open64));
}
