/* What is on a disk after a power failure: only what was synced. A library for LD_PRELOAD that
   copies each file below $POWER_FROM to $POWER_TO when it is synced; what a program writes and does not
   sync is not there. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void keep(int fd)
{
    const char *from = getenv("POWER_FROM"), *to = getenv("POWER_TO");
    char link[64], path[PATH_MAX], copy[PATH_MAX + 64], done[PATH_MAX], bytes[65536];
    struct stat file;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (!from || !to || length < 0 || fstat(fd, &file) || !S_ISREG(file.st_mode))
        return;
    path[length] = 0;
    if (strncmp(path, from, strlen(from)))
        return;
    snprintf(done, sizeof done, "%s%s", to, path + strlen(from));
    snprintf(copy, sizeof copy, "%s.%d-%d", done, (int)getpid(), fd);
    for (char *slash = strchr(done + strlen(to) + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        mkdir(done, 0700);
        *slash = '/';
    }
    int out = open(copy, O_CREAT | O_TRUNC | O_WRONLY, 0600);
    off_t at = 0;
    for (ssize_t read; (read = pread(fd, bytes, sizeof bytes, at)) > 0; at += read)
        if (write(out, bytes, read) != read)
            abort();
    close(out);
    rename(copy, done);
}

static int sync_by(const char *name, int fd)
{
    int (*sync)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
    int failed = sync(fd);
    if (!failed)
        keep(fd);
    return failed;
}

int fsync(int fd) { return sync_by("fsync", fd); }
int fdatasync(int fd) { return sync_by("fdatasync", fd); }
