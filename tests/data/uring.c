/* Does one file operation by io_uring, with raw system calls: liburing is not needed.
   uring MODE OPERATION PATH [PATH2]. MODE: inline, async (a worker thread does it), poll (the submission thread does it). */
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static int submit(struct io_uring_sqe *wanted, unsigned flags)
{
    struct io_uring_params p;
    memset(&p, 0, sizeof p);
    p.flags = flags;
    int ring = syscall(SYS_io_uring_setup, 4, &p);
    if (ring < 0) return -errno;
    size_t sq_size = p.sq_off.array + p.sq_entries * sizeof(unsigned);
    size_t cq_size = p.cq_off.cqes + p.cq_entries * sizeof(struct io_uring_cqe);
    char *sq = mmap(0, sq_size, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQ_RING);
    char *cq = mmap(0, cq_size, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_CQ_RING);
    struct io_uring_sqe *sqes = mmap(0, p.sq_entries * sizeof *sqes, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQES);
    if (sq == MAP_FAILED || cq == MAP_FAILED || (void *)sqes == MAP_FAILED) return -errno;
    sqes[0] = *wanted;
    ((unsigned *)(sq + p.sq_off.array))[0] = 0;
    __atomic_store_n((unsigned *)(sq + p.sq_off.tail), 1, __ATOMIC_RELEASE);
    unsigned enter = IORING_ENTER_GETEVENTS | (flags & IORING_SETUP_SQPOLL ? IORING_ENTER_SQ_WAKEUP : 0);
    if (syscall(SYS_io_uring_enter, ring, 1, 1, enter, NULL, 0) < 0) return -errno;
    struct io_uring_cqe *cqe = (struct io_uring_cqe *)(cq + p.cq_off.cqes);
    int result = cqe->res;
    close(ring);
    return result;
}

int main(int argc, char **argv)
{
    if (argc < 4) return 2;
    struct io_uring_sqe s;
    memset(&s, 0, sizeof s);
    s.fd = AT_FDCWD;
    s.addr = (uintptr_t)argv[3];
    const char *op = argv[2];
    if (!strcmp(op, "create")) { s.opcode = IORING_OP_OPENAT; s.open_flags = O_CREAT | O_WRONLY | O_TRUNC; s.len = 0644; }
    else if (!strcmp(op, "read")) { s.opcode = IORING_OP_OPENAT; s.open_flags = O_RDONLY; }
    else if (!strcmp(op, "openat2")) { static struct { uint64_t f, m, r; } how = {O_WRONLY | O_CREAT, 0644, 0}; s.opcode = IORING_OP_OPENAT2; s.len = sizeof how; s.off = (uintptr_t)&how; }
    else if (!strcmp(op, "unlink")) s.opcode = IORING_OP_UNLINKAT;
    else if (!strcmp(op, "mkdir")) { s.opcode = IORING_OP_MKDIRAT; s.len = 0755; }
    else if (!strcmp(op, "rename")) { s.opcode = IORING_OP_RENAMEAT; s.len = (uint32_t)AT_FDCWD; s.off = (uintptr_t)argv[4]; }
    else if (!strcmp(op, "link")) { s.opcode = IORING_OP_LINKAT; s.len = (uint32_t)AT_FDCWD; s.off = (uintptr_t)argv[4]; }
    else if (!strcmp(op, "symlink")) { s.opcode = IORING_OP_SYMLINKAT; s.addr = (uintptr_t)argv[4]; s.off = (uintptr_t)argv[3]; }
    else if (!strcmp(op, "setxattr")) { s.opcode = IORING_OP_SETXATTR; s.addr = (uintptr_t)"user.t"; s.off = (uintptr_t)"v"; s.addr3 = (uintptr_t)argv[3]; s.len = 1; }
    else if (!strcmp(op, "stat")) { static struct { char b[512]; } sx; s.opcode = IORING_OP_STATX; s.len = 0x7ff; s.off = (uintptr_t)&sx; }
    else if (!strcmp(op, "ftruncate")) { s.opcode = 55; s.fd = open(argv[3], O_WRONLY); s.addr = 0; s.off = 1; }
    else return 2;
    unsigned flags = 0;
    if (!strcmp(argv[1], "async")) s.flags |= IOSQE_ASYNC;
    if (!strcmp(argv[1], "poll")) flags = IORING_SETUP_SQPOLL;
    int result = submit(&s, flags);
    printf("%d\n", result);
    return result < 0;
}
