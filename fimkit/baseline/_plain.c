/* The inner loop of a scan: ordinary files, read and hashed while the interpreter does something else.
 *
 * What fimkit.baseline.entry.EntryReader says of a regular file that holds still meanwhile, with or without extended attributes and
 * of any size, and no more. Whatever else a name turns out to be (a link, a fifo, a file that changes, cannot be read or is hollow)
 * is left: nothing is concluded from it here, and the caller reads it the exact way. The two ways give equal states (tested).
 *
 * The threads are Python's: each calls work() once and is in here, without the interpreter's lock, until stop(). put() and take() are
 * the walk's. A thread that reads never touches an object: of a batch it sees the bytes of its names, which the batch holds on to,
 * and what it finds out are plain numbers, of which take() makes states. One file at a time is given out, whatever the batch, so
 * that large files of one folder go to different threads.
 *
 * SHA-256 is OpenSSL's. Its library is opened by name when this module is imported, with the prototypes below: they are those of
 * evp.h, and a soname promises that they stay what they are. So no header and no link is needed where this is built. hashlib has most
 * often loaded the very same library, and then this is it; a Python that brings a copy of its own is not met, since nothing here
 * is looked up but in what was opened. Without it the module cannot be imported, which says why, and the Python way is used.
 *
 * Where Intel's libipsec-mb is, small files are hashed by that, two at once: each of a processor's instructions for SHA-256 waits for the
 * one before, so a second message beside the first costs nothing. It too is opened by name, and its header is needed here: it says how
 * the memory of a manager is laid out, which is that of its own version alone.
 */

#define _GNU_SOURCE
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <structmember.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#if defined(__x86_64__) && __has_include(<intel-ipsec-mb.h>)
#include <intel-ipsec-mb.h>
#if IMB_VERSION_NUM >= IMB_VERSION(1, 3, 0) && IMB_VERSION_NUM < IMB_VERSION(3, 0, 0)
#define WITH_JOBS /* a later major version may have other names */
#endif
#endif

#ifdef Py_GIL_DISABLED
#error "put() and take() count on the interpreter's lock; without it the Python way is used"
#endif

#define REVISION 6 /* as fimkit.baseline.compiled.REVISION: raised with every change here */

#define LIBRARY "libcrypto.so.3"
#define SHA256_SIZE 32
#define BLOCK (1 << 17)      /* bytes of one read: it stays in the processor's cache until it is hashed */
#define TABLE (1 << 21)      /* bytes of the small files that a thread has read and not hashed; one that does not fit in is large */
#define TASKS 64             /* most of these files. Source: a manager has 256 jobs, IMB_MAX_JOBS */
#define FEW_XATTRS (1 << 10)  /* of nearly all: the kernel takes as much memory as there is room for, for each call */
#define MOST_XATTRS (1 << 16) /* bytes of all names of a file, and of one value. Source: XATTR_LIST_MAX, XATTR_SIZE_MAX, limits.h */
#define LANES 2              /* messages that libipsec-mb hashes at once, with a processor's instructions for SHA-256 */
#define FARTHEST_S INT64_C(9000000000) /* a time further from 1970 has more nanoseconds than 64 bits hold */

#define LISTED (1 << 15) /* bytes of one listing call */

#define HOLLOW_BYTES (INT64_C(1) << 30) /* as fimkit.baseline.content.is_hollow */
#define HOLLOW 16

enum field { PATH, KIND, MODE, UID, GID, SIZE, INODE, DEV, NLINK, MTIME, CTIME, SHA256, TARGET, XATTRS, PROBLEM, STATE_FIELDS };
/* of fimkit.model.states.FileState */

/* ---- the library ---- */

typedef struct evp_md_st EVP_MD;
typedef struct evp_md_ctx_st EVP_MD_CTX;

static struct {
    EVP_MD *(*fetch)(void *, const char *, const char *);
    EVP_MD_CTX *(*new)(void);
    void (*free)(EVP_MD_CTX *);
    int (*init)(EVP_MD_CTX *, const EVP_MD *, const void *);
    int (*update)(EVP_MD_CTX *, const void *, size_t);
    int (*final)(EVP_MD_CTX *, unsigned char *, unsigned int *);
    EVP_MD *sha256; /* NULL: not loaded yet */
} crypto;

static int find(void *library, const char *name, void *place)
{
    void *found = dlsym(library, name);
    memcpy(place, &found, sizeof found);
    return found != NULL;
}

static int hashes_rightly(void)
{
    static const unsigned char expected[SHA256_SIZE] = /* of "abc". Source: FIPS 180-2, B.1 */
        "\xba\x78\x16\xbf\x8f\x01\xcf\xea\x41\x41\x40\xde\x5d\xae\x22\x23\xb0\x03\x61\xa3\x96\x17\x7a\x9c\xb4\x10\xff\x61\xf2\x00\x15\xad";
    unsigned char digest[SHA256_SIZE] = {0};
    EVP_MD_CTX *context = crypto.new();
    int good = context != NULL && crypto.init(context, crypto.sha256, NULL) == 1 && crypto.update(context, "abc", 3) == 1
        && crypto.final(context, digest, NULL) == 1 && memcmp(digest, expected, SHA256_SIZE) == 0;
    if (context != NULL)
        crypto.free(context);
    return good;
}

/* The library stays open for good: threads may be in it when the interpreter ends. */
static int load_library(void)
{
    if (crypto.sha256 != NULL)
        return 1;
    void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) {
        PyErr_SetString(PyExc_ImportError, LIBRARY " (OpenSSL 3) cannot be opened");
        return 0;
    }
    if (find(library, "EVP_MD_fetch", &crypto.fetch) && find(library, "EVP_MD_CTX_new", &crypto.new)
        && find(library, "EVP_MD_CTX_free", &crypto.free) && find(library, "EVP_DigestInit_ex2", &crypto.init)
        && find(library, "EVP_DigestUpdate", &crypto.update) && find(library, "EVP_DigestFinal_ex", &crypto.final)
        && (crypto.sha256 = crypto.fetch(NULL, "SHA256", NULL)) != NULL && hashes_rightly())
        return 1;
    crypto.sha256 = NULL;
    PyErr_SetString(PyExc_ImportError, LIBRARY " has no SHA-256 for this");
    return 0;
}

/* ---- libipsec-mb: whole messages, two at once ---- */

static char why_one[200]; /* why messages are hashed one at a time; empty: they are not */

#ifdef WITH_JOBS

typedef IMB_MGR Manager;

static struct {
    unsigned (*version)(void);
    IMB_MGR *(*new)(uint64_t);
    void (*free)(IMB_MGR *);
    void (*init)(IMB_MGR *);
    int (*error)(IMB_MGR *);
} imb;

static void free_manager(Manager *manager)
{
    if (manager != NULL)
        imb.free(manager);
}

/* The manager of SSE has two lanes with those instructions; that of AVX-512 has sixteen without, which are slow while fewer are filled.
 * NULL: no memory, or a processor without, or the library's own test of itself failed. */
static Manager *new_manager(void)
{
    Manager *manager = imb.new(0);
    if (manager == NULL)
        return NULL;
    imb.init(manager);
    if (imb.error(manager) == 0 && manager->features & IMB_FEATURE_SHANI)
        return manager;
    free_manager(manager);
    return NULL;
}

/* The owner of a job that is done is given, and NULL where none is. Jobs are given in the order in which they came. */
static void *done_owner(const IMB_JOB *job, int *good)
{
    if (job == NULL)
        return NULL;
    *good = job->status == IMB_STATUS_COMPLETED;
    return job->user_data;
}

/* Gives whose job is done now, most often another's: the message has to stay until its owner was given. */
static void *submit(Manager *manager, const unsigned char *message, size_t size, unsigned char *digest, void *owner, int *good)
{
    IMB_JOB *job = IMB_GET_NEXT_JOB(manager);
    memset(job, 0, sizeof *job);
    job->cipher_mode = IMB_CIPHER_NULL;
    job->cipher_direction = IMB_DIR_ENCRYPT;
    job->chain_order = IMB_ORDER_HASH_CIPHER;
    job->hash_alg = IMB_AUTH_SHA_256;
    job->src = message;
    job->msg_len_to_hash_in_bytes = size;
    job->auth_tag_output = digest;
    job->auth_tag_output_len_in_bytes = SHA256_SIZE;
    job->user_data = owner;
    /* Unchecked: the check allows no length of more than 16 bits, which other hashes have. SHA-256's have 64 (tested). */
    return done_owner(IMB_SUBMIT_JOB_NOCHECK(manager), good);
}

/* NULL: there are no more. */
static void *flush(Manager *manager, int *good)
{
    return done_owner(IMB_FLUSH_JOB(manager), good);
}

/* Stays open for good, as the other one. */
static void load_jobs(void)
{
    char name[32];
    snprintf(name, sizeof name, "libIPSec_MB.so.%d", IMB_VERSION_NUM >> 16);
    void *library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) {
        snprintf(why_one, sizeof why_one, "%s (libipsec-mb) cannot be opened", name);
        return;
    }
    if (!find(library, "imb_get_version", &imb.version) || imb.version() >> 8 != IMB_VERSION_NUM >> 8) {
        snprintf(why_one, sizeof why_one, "%s is not of version %d.%d, for which the reader was built", name, IMB_VERSION_NUM >> 16,
            IMB_VERSION_NUM >> 8 & 255);
        return;
    }
    Manager *manager = NULL;
    if (find(library, "alloc_mb_mgr", &imb.new) && find(library, "free_mb_mgr", &imb.free)
        && find(library, "init_mb_mgr_sse", &imb.init) && find(library, "imb_get_errno", &imb.error))
        manager = new_manager();
    if (manager == NULL)
        snprintf(why_one, sizeof why_one, "%s has no SHA-256 of two messages at once for this processor", name);
    free_manager(manager);
}

#else

typedef struct none Manager;

static void free_manager(Manager *Py_UNUSED(manager))
{
}

static Manager *new_manager(void)
{
    return NULL;
}

static void *submit(Manager *Py_UNUSED(manager), const unsigned char *Py_UNUSED(message), size_t Py_UNUSED(size),
    unsigned char *Py_UNUSED(digest), void *Py_UNUSED(owner), int *Py_UNUSED(good))
{
    return NULL;
}

static void *flush(Manager *Py_UNUSED(manager), int *Py_UNUSED(good))
{
    return NULL;
}

static void load_jobs(void)
{
    snprintf(why_one, sizeof why_one, "the reader was built without the header of libipsec-mb 1.3 or later");
}

#endif

/* ---- what is read: files, in batches of one folder ---- */

enum outcome { LEFT, PLAIN };

typedef struct {
    const char *name;      /* the batch's own */
    struct stat seen;      /* right after it was opened; the rest is of plain ones alone */
    unsigned char digest[SHA256_SIZE];
    char *attributes;      /* for each the two lengths, the name and the value; NULL: there are none */
    size_t attributes_size;
    enum outcome outcome;
} File;

typedef struct Batch {
    struct Batch *next;
    PyObject *start; /* bytes: what stands before the names in their paths */
    PyObject *names; /* a tuple of bytes */
    int folder;
    Py_ssize_t count, given, done; /* of its files; given: to a thread */
    File files[];
} Batch;

typedef struct {
    Batch *first, *last;
    Py_ssize_t count;
} Queue;

typedef struct {
    PyObject_HEAD
    PyTypeObject *state;                     /* FileState */
    PyObject *kind, *no_xattrs, *render;     /* FileType.FILE, the one empty dictionary, and what makes text of an attribute's name */
    int lanes;                               /* messages that are hashed at once; 1: by OpenSSL alone */
    PyObject *mode, *dev;                    /* of the state made last, or NULL: most are those of the next */
    Py_ssize_t waiting;                      /* batches that were put and not taken; with the interpreter's lock alone */
    atomic_llong bytes_read;
    atomic_int stopped;
    pthread_mutex_t lock; /* for what follows. Nobody who holds it waits for the interpreter's lock */
    pthread_cond_t to_read, is_done;
    Queue todo, done;
    Py_ssize_t wanted; /* how many done batches are waited for; 0: nobody waits */
    int working, idle; /* threads in work(), and those of them that wait for batches */
} Readers;

static void append(Queue *queue, Batch *batch)
{
    batch->next = NULL;
    if (queue->last != NULL)
        queue->last->next = batch;
    else
        queue->first = batch;
    queue->last = batch;
    queue->count++;
}

static Batch *pop(Queue *queue)
{
    Batch *batch = queue->first;
    if (batch == NULL)
        return NULL;
    queue->first = batch->next;
    if (queue->first == NULL)
        queue->last = NULL;
    queue->count--;
    return batch;
}

static void free_batch(Batch *batch)
{
    for (Py_ssize_t number = 0; number < batch->count; number++)
        PyMem_RawFree(batch->files[number].attributes);
    if (batch->folder >= 0)
        close(batch->folder);
    Py_XDECREF(batch->start);
    Py_XDECREF(batch->names);
    PyMem_RawFree(batch);
}

/* ---- reading: nothing from here to work() has the interpreter's lock ---- */

typedef struct {
    EVP_MD_CTX *context; /* NULL: there was no memory for it, and every file is left */
    Manager *manager;    /* NULL: files are hashed one by one */
    unsigned char *table; /* TABLE bytes with a manager, BLOCK without */
    char *xattr_names, *xattr_value;
} Desk;

static ssize_t read_block(int file, void *block, size_t size)
{
    for (;;) {
        ssize_t length = read(file, block, size);
        if (length >= 0 || errno != EINTR)
            return length;
    }
}

/* True where all of the file was hashed, and is as long as it says. */
static int hash_content(Readers *self, Desk *desk, int file, int64_t size, unsigned char *digest)
{
    int64_t total = 0;
    if (crypto.init(desk->context, crypto.sha256, NULL) != 1)
        return 0;
    if (size > BLOCK)
        (void)posix_fadvise(file, 0, 0, POSIX_FADV_SEQUENTIAL);
    while (!atomic_load_explicit(&self->stopped, memory_order_relaxed)) {
        ssize_t length = read_block(file, desk->table, BLOCK);
        if (length < 0)
            break;
        total += length;
        atomic_fetch_add_explicit(&self->bytes_read, length, memory_order_relaxed);
        if (total > size || (length > 0 && crypto.update(desk->context, desk->table, (size_t)length) != 1))
            break;
        /* More was asked for and not there: this is the end, and most files take one call. */
        if (length == 0 || (length < BLOCK && total == size)) {
            if (total == size && crypto.final(desk->context, digest, NULL) == 1)
                return 1;
            break;
        }
    }
    atomic_fetch_sub_explicit(&self->bytes_read, total, memory_order_relaxed); /* the exact way will count them */
    return 0;
}

static int keep_attribute(File *kept, const char *name, size_t name_size, const char *value, size_t value_size)
{
    const uint32_t sizes[2] = {(uint32_t)name_size, (uint32_t)value_size};
    char *all = PyMem_RawRealloc(kept->attributes, kept->attributes_size + sizeof sizes + name_size + value_size);
    if (all == NULL)
        return 0;
    kept->attributes = all;
    char *at = all + kept->attributes_size;
    memcpy(at, sizes, sizeof sizes);
    memcpy(at + sizeof sizes, name, name_size);
    memcpy(at + sizeof sizes + name_size, value, value_size);
    kept->attributes_size += sizeof sizes + name_size + value_size;
    return 1;
}

static ssize_t list_attributes(int file, char *names)
{
    ssize_t size = flistxattr(file, names, FEW_XATTRS);
    return size < 0 && errno == ERANGE ? flistxattr(file, names, MOST_XATTRS) : size;
}

static ssize_t get_attribute(int file, const char *name, char *value)
{
    ssize_t size = fgetxattr(file, name, value, FEW_XATTRS);
    return size < 0 && errno == ERANGE ? fgetxattr(file, name, value, MOST_XATTRS) : size;
}

static int read_attributes(Desk *desk, int file, File *kept)
{
    ssize_t all = list_attributes(file, desk->xattr_names);
    if (all < 0)
        return errno == ENOTSUP;
    for (ssize_t at = 0; at < all;) {
        const char *name = desk->xattr_names + at;
        size_t name_size = strnlen(name, (size_t)(all - at));
        if (name_size == (size_t)(all - at))
            return 0; /* the kernel ends every name */
        ssize_t value_size = get_attribute(file, name, desk->xattr_value);
        if (value_size < 0 || !keep_attribute(kept, name, name_size, desk->xattr_value, (size_t)value_size))
            return 0;
        at += (ssize_t)name_size + 1;
    }
    return 1;
}

static int is_same_time(const struct timespec *one, const struct timespec *other)
{
    return one->tv_sec == other->tv_sec && one->tv_nsec == other->tv_nsec;
}

static int is_far(const struct timespec *time)
{
    return time->tv_sec > FARTHEST_S || time->tv_sec < -FARTHEST_S;
}

/* What Python says of these in another way, or is_hollow() keeps from being read. */
static int is_odd(const struct stat *seen)
{
    return seen->st_uid == (uid_t)-1 || seen->st_gid == (gid_t)-1 || seen->st_dev > (dev_t)INT64_MAX || seen->st_size < 0
        || is_far(&seen->st_mtim) || is_far(&seen->st_ctim)
        || (seen->st_size >= HOLLOW_BYTES && seen->st_blocks * 512 < seen->st_size / HOLLOW + (seen->st_size % HOLLOW != 0));
}

/* Reads what else there is to know of a file whose content was read; false where it is not as it was before that. */
static int is_steady(Desk *desk, int file, File *kept)
{
    struct stat after;
    return read_attributes(desk, file, kept) && fstat(file, &after) == 0 && after.st_size == kept->seen.st_size
        && is_same_time(&after.st_ctim, &kept->seen.st_ctim) && is_same_time(&after.st_mtim, &kept->seen.st_mtim);
}

static int is_ordinary(int file, File *kept)
{
    return fstat(file, &kept->seen) == 0 && S_ISREG(kept->seen.st_mode) && !is_odd(&kept->seen);
}

static enum outcome read_open(Readers *self, Desk *desk, int file, File *kept)
{
    if (!is_ordinary(file, kept) || !hash_content(self, desk, file, kept->seen.st_size, kept->digest))
        return LEFT;
    if (is_steady(desk, file, kept))
        return PLAIN;
    atomic_fetch_sub_explicit(&self->bytes_read, kept->seen.st_size, memory_order_relaxed);
    return LEFT;
}

static int open_file(int folder, const char *name)
{
    const int flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
    int file = openat(folder, name, flags | O_NOATIME);
    return file < 0 && errno == EPERM ? openat(folder, name, flags) : file; /* another's file, without CAP_FOWNER */
}

static enum outcome read_file(Readers *self, Desk *desk, int folder, File *kept)
{
    int file = desk->context == NULL ? -1 : open_file(folder, kept->name);
    if (file < 0)
        return LEFT;
    enum outcome outcome = read_open(self, desk, file, kept);
    close(file);
    return outcome;
}

/* ---- the threads' work ---- */

/* With the lock held: waits for files; false: it was stopped. */
static int wait_for_files(Readers *self)
{
    while (!self->stopped && self->todo.first == NULL) {
        self->idle++;
        pthread_cond_wait(&self->to_read, &self->lock);
        self->idle--;
    }
    return !self->stopped;
}

/* With the lock held: gives the next of the files that wait. */
static File *next_file(Readers *self, Batch **batch)
{
    *batch = self->todo.first;
    if ((*batch)->given + 1 == (*batch)->count)
        pop(&self->todo);
    return &(*batch)->files[(*batch)->given++];
}

/* With the lock held. */
static void finish_file(Readers *self, Batch *batch)
{
    if (++batch->done < batch->count)
        return;
    append(&self->done, batch);
    if (self->wanted && self->done.count >= self->wanted)
        pthread_cond_signal(&self->is_done);
}

static void work_one_by_one(Readers *self, Desk *desk)
{
    Batch *batch;
    pthread_mutex_lock(&self->lock);
    self->working++;
    while (wait_for_files(self)) {
        File *file = next_file(self, &batch);
        pthread_mutex_unlock(&self->lock);
        file->outcome = read_file(self, desk, batch->folder, file);
        pthread_mutex_lock(&self->lock);
        finish_file(self, batch);
    }
    self->working--;
    pthread_mutex_unlock(&self->lock);
}

/* ---- the same, with small files read before they are hashed, two at once ---- */

typedef struct {
    Batch *batch;
    File *file;
} Task;

/* Files of which each was read or left; those that were read are hashed at its end at the latest, and none is given out before that. */
typedef struct {
    Task tasks[TASKS];
    int count;
    size_t used; /* bytes of the table */
} Round;

static void settle(Readers *self, File *file, int good)
{
    if (good)
        file->outcome = PLAIN;
    else
        atomic_fetch_sub_explicit(&self->bytes_read, file->seen.st_size, memory_order_relaxed);
}

/* Hashes all that was read, and has the table free. */
static void hash_table(Readers *self, Desk *desk, Round *round)
{
    int good = 0;
    for (File *file; (file = flush(desk->manager, &good)) != NULL;)
        settle(self, file, good);
    round->used = 0;
}

/* True where all of the file is in the block, which has room for a byte more, and is as long as it says. */
static int read_content(Readers *self, int file, unsigned char *block, int64_t size)
{
    int64_t total = 0;
    for (;;) {
        ssize_t length = read_block(file, block + total, (size_t)(size + 1 - total));
        if (length < 0)
            break;
        total += length;
        atomic_fetch_add_explicit(&self->bytes_read, length, memory_order_relaxed);
        if (total == size) /* more was asked for and not there: this is the end */
            return 1;
        if (length == 0 || total > size)
            break;
    }
    atomic_fetch_sub_explicit(&self->bytes_read, total, memory_order_relaxed); /* the exact way will count them */
    return 0;
}

/* Reads a file onto the table and has it hashed, now or later; as read_open() otherwise, with what is hashed last. */
static void read_small(Readers *self, Desk *desk, Round *round, int opened, File *file)
{
    const size_t size = (size_t)file->seen.st_size;
    if (size >= TABLE - round->used)
        hash_table(self, desk, round);
    unsigned char *content = desk->table + round->used;
    if (!read_content(self, opened, content, file->seen.st_size))
        return;
    if (!is_steady(desk, opened, file)) {
        settle(self, file, 0);
        return;
    }
    round->used += size;
    int good = 0;
    File *done = submit(desk->manager, content, size, file->digest, file, &good);
    if (done != NULL)
        settle(self, done, good);
}

/* With the lock held, which it gives back meanwhile: hashes what was read, and finishes all. */
static void end_round(Readers *self, Desk *desk, Round *round)
{
    pthread_mutex_unlock(&self->lock);
    hash_table(self, desk, round);
    pthread_mutex_lock(&self->lock);
    for (int number = 0; number < round->count; number++)
        finish_file(self, round->tasks[number].batch);
    round->count = 0;
}

/* With the lock held, which it gives back meanwhile: a large file takes its time, and those before it are not to wait for that. */
static void read_large(Readers *self, Desk *desk, Round *round, int opened)
{
    Task task = round->tasks[--round->count];
    end_round(self, desk, round);
    pthread_mutex_unlock(&self->lock);
    task.file->outcome = read_open(self, desk, opened, task.file);
    pthread_mutex_lock(&self->lock);
    finish_file(self, task.batch);
}

/* With the lock held, which it gives back meanwhile. */
static void take_file(Readers *self, Desk *desk, Round *round)
{
    Task *task = &round->tasks[round->count++];
    task->file = next_file(self, &task->batch); /* LEFT, until it is hashed */
    pthread_mutex_unlock(&self->lock);
    int opened = open_file(task->batch->folder, task->file->name);
    const int is_file = opened >= 0 && is_ordinary(opened, task->file), is_small = is_file && task->file->seen.st_size < TABLE;
    if (is_small)
        read_small(self, desk, round, opened, task->file);
    pthread_mutex_lock(&self->lock);
    if (is_file && !is_small)
        read_large(self, desk, round, opened);
    if (opened >= 0)
        close(opened);
}

/* With the lock held: a thread that waits is to have the next file. */
static int takes_more(const Readers *self, const Round *round)
{
    return round->count > 0 && round->count < TASKS && self->todo.first != NULL && self->idle == 0 && !self->stopped;
}

static void work_by_rounds(Readers *self, Desk *desk)
{
    Round round = {.count = 0};
    pthread_mutex_lock(&self->lock);
    self->working++;
    while (wait_for_files(self)) {
        do
            take_file(self, desk, &round);
        while (takes_more(self, &round));
        end_round(self, desk, &round);
    }
    self->working--;
    pthread_mutex_unlock(&self->lock);
}

PyDoc_STRVAR(work_doc,
"work()\n--\n\n"
"Read what is put until it is stopped: a thread's whole work. Signals are left to the other threads.");

static Desk new_desk(int lanes)
{
    Desk desk = {.context = crypto.new(), .manager = lanes > 1 ? new_manager() : NULL};
    desk.table = PyMem_RawMalloc(desk.manager != NULL ? TABLE : BLOCK);
    desk.xattr_names = PyMem_RawMalloc(MOST_XATTRS);
    desk.xattr_value = PyMem_RawMalloc(MOST_XATTRS);
    if (desk.context != NULL && (desk.table == NULL || desk.xattr_names == NULL || desk.xattr_value == NULL)) {
        crypto.free(desk.context);
        desk.context = NULL;
    }
    return desk;
}

static void free_desk(Desk *desk)
{
    if (desk->context != NULL)
        crypto.free(desk->context);
    free_manager(desk->manager);
    PyMem_RawFree(desk->table);
    PyMem_RawFree(desk->xattr_names);
    PyMem_RawFree(desk->xattr_value);
}

static PyObject *readers_work(Readers *self, PyObject *Py_UNUSED(none))
{
    Desk desk = new_desk(self->lanes);
    Py_BEGIN_ALLOW_THREADS
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    if (desk.manager != NULL && desk.context != NULL)
        work_by_rounds(self, &desk);
    else
        work_one_by_one(self, &desk);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    Py_END_ALLOW_THREADS
    free_desk(&desk);
    Py_RETURN_NONE;
}

/* ---- the walk's side: with the interpreter's lock ---- */

static Batch *new_batch(PyObject *start, PyObject *names, int folder)
{
    Py_ssize_t count = PyTuple_GET_SIZE(names);
    Batch *batch = PyMem_RawCalloc(1, sizeof(Batch) + (size_t)count * sizeof(File));
    if (batch == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    batch->folder = -1;
    batch->start = Py_NewRef(start);
    batch->names = Py_NewRef(names);
    for (; batch->count < count; batch->count++) {
        char *name;
        if (PyBytes_AsStringAndSize(PyTuple_GET_ITEM(names, batch->count), &name, NULL) < 0) /* NULL: no zero byte in it either */
            goto failed;
        batch->files[batch->count].name = name;
    }
    batch->folder = fcntl(folder, F_DUPFD_CLOEXEC, 0);
    if (batch->folder >= 0)
        return batch;
    PyErr_SetFromErrno(PyExc_OSError);
failed:
    free_batch(batch);
    return NULL;
}

PyDoc_STRVAR(put_doc,
"put(folder, start, names, /)\n--\n\n"
"Have the files of an open folder read. The descriptor stays the caller's.\n\n"
"Raises:\n    OSError: If there is no further descriptor to be had.");

static PyObject *readers_put(Readers *self, PyObject *arguments)
{
    PyObject *start, *list;
    int folder;
    if (!PyArg_ParseTuple(arguments, "iSO", &folder, &start, &list))
        return NULL;
    PyObject *names = PySequence_Tuple(list);
    if (names == NULL)
        return NULL;
    if (PyTuple_GET_SIZE(names) == 0) {
        Py_DECREF(names);
        Py_RETURN_NONE;
    }
    Batch *batch = new_batch(start, names, folder);
    Py_DECREF(names);
    if (batch == NULL)
        return NULL;
    pthread_mutex_lock(&self->lock);
    append(&self->todo, batch);
    if (self->idle)
        pthread_cond_broadcast(&self->to_read);
    pthread_mutex_unlock(&self->lock);
    self->waiting++;
    Py_RETURN_NONE;
}

static int set_attribute(Readers *self, PyObject *attributes, const char *name, size_t name_size, size_t value_size)
{
    int failed = -1;
    PyObject *raw = PyBytes_FromStringAndSize(name, (Py_ssize_t)name_size);
    PyObject *value = PyBytes_FromStringAndSize(name + name_size, (Py_ssize_t)value_size);
    PyObject *key = raw == NULL || value == NULL ? NULL : PyObject_CallOneArg(self->render, raw);
    if (key != NULL)
        failed = PyDict_SetItem(attributes, key, value);
    Py_XDECREF(key);
    Py_XDECREF(raw);
    Py_XDECREF(value);
    return failed;
}

static PyObject *new_attributes(Readers *self, const File *file)
{
    if (file->attributes == NULL)
        return Py_NewRef(self->no_xattrs);
    PyObject *attributes = PyDict_New();
    for (size_t at = 0; attributes != NULL && at < file->attributes_size;) {
        uint32_t sizes[2];
        memcpy(sizes, file->attributes + at, sizeof sizes);
        at += sizeof sizes;
        if (set_attribute(self, attributes, file->attributes + at, sizes[0], sizes[1]) < 0)
            Py_CLEAR(attributes);
        at += (size_t)sizes[0] + sizes[1];
    }
    return attributes;
}

static PyObject *new_path(PyObject *start, PyObject *name)
{
    Py_ssize_t first = PyBytes_GET_SIZE(start), second = PyBytes_GET_SIZE(name);
    PyObject *path = PyBytes_FromStringAndSize(NULL, first + second);
    if (path != NULL) {
        memcpy(PyBytes_AS_STRING(path), PyBytes_AS_STRING(start), (size_t)first);
        memcpy(PyBytes_AS_STRING(path) + first, PyBytes_AS_STRING(name), (size_t)second);
    }
    return path;
}

static PyObject *new_hex(const unsigned char *digest)
{
    PyObject *text = PyUnicode_New(2 * SHA256_SIZE, 127);
    if (text == NULL)
        return NULL;
    Py_UCS1 *at = PyUnicode_1BYTE_DATA(text);
    for (int number = 0; number < SHA256_SIZE; number++) {
        *at++ = (Py_UCS1)"0123456789abcdef"[digest[number] >> 4];
        *at++ = (Py_UCS1)"0123456789abcdef"[digest[number] & 15];
    }
    return text;
}

/* The last such number again, where it is that one: a million rows that are kept share it. */
static PyObject *same_number(PyObject **last, long long value)
{
    if (*last == NULL || PyLong_AsLongLong(*last) != value) {
        PyObject *number = PyLong_FromLongLong(value);
        if (number == NULL)
            return NULL;
        Py_XSETREF(*last, number);
    }
    return Py_NewRef(*last);
}

static PyObject *new_time(const struct timespec *time)
{
    return PyLong_FromLongLong((long long)time->tv_sec * 1000000000 + time->tv_nsec);
}

static PyObject *new_state(Readers *self, const Batch *batch, Py_ssize_t number)
{
    const File *file = &batch->files[number];
    const struct stat *seen = &file->seen;
    PyObject *attributes = new_attributes(self, file);
    PyObject *state = attributes == NULL ? NULL : self->state->tp_alloc(self->state, STATE_FIELDS);
    if (state == NULL) {
        Py_XDECREF(attributes);
        return NULL;
    }
    PyObject_GC_UnTrack(state); /* nothing in it can be part of a circle: the collector need not look at a million of them */
    PyObject *fields[STATE_FIELDS] = {
        new_path(batch->start, PyTuple_GET_ITEM(batch->names, number)), Py_NewRef(self->kind),
        same_number(&self->mode, seen->st_mode & 07777), PyLong_FromUnsignedLong(seen->st_uid),
        PyLong_FromUnsignedLong(seen->st_gid), PyLong_FromLongLong(seen->st_size), PyLong_FromUnsignedLongLong(seen->st_ino),
        same_number(&self->dev, (long long)seen->st_dev), PyLong_FromUnsignedLong(seen->st_nlink), new_time(&seen->st_mtim),
        new_time(&seen->st_ctim), new_hex(file->digest), Py_NewRef(Py_None), attributes, Py_NewRef(Py_None),
    };
    int good = 1;
    for (int field = 0; field < STATE_FIELDS; field++) { /* the state takes each over, also where one is missing */
        PyTuple_SET_ITEM(state, field, fields[field]);
        good = good && fields[field] != NULL;
    }
    if (!good)
        Py_CLEAR(state);
    return state;
}

/* Gives (folder, start, [name…]) of what is left; the descriptor is the caller's from then on. */
static PyObject *new_left(Batch *batch)
{
    PyObject *names = PyList_New(0);
    for (Py_ssize_t number = 0; names != NULL && number < batch->count; number++)
        if (batch->files[number].outcome == LEFT && PyList_Append(names, PyTuple_GET_ITEM(batch->names, number)) < 0)
            Py_CLEAR(names);
    PyObject *left = names == NULL ? NULL : Py_BuildValue("(iOO)", batch->folder, batch->start, names);
    Py_XDECREF(names);
    return left;
}

static int take_batch(Readers *self, Batch *batch, PyObject *states, PyObject *left)
{
    Py_ssize_t plain = 0;
    for (Py_ssize_t number = 0; number < batch->count; number++) {
        if (batch->files[number].outcome == LEFT)
            continue;
        PyObject *state = new_state(self, batch, number);
        int failed = state == NULL ? -1 : PyList_Append(states, state);
        Py_XDECREF(state);
        if (failed)
            return -1;
        plain++;
    }
    if (plain == batch->count)
        return 0;
    PyObject *rest = new_left(batch);
    int failed = rest == NULL ? -1 : PyList_Append(left, rest);
    Py_XDECREF(rest);
    if (!failed)
        batch->folder = -1;
    return failed;
}

static void wait_done(Readers *self, Py_ssize_t least, long wait_ms)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += wait_ms / 1000;
    until.tv_nsec += wait_ms % 1000 * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_nsec -= 1000000000;
        until.tv_sec++;
    }
    Py_BEGIN_ALLOW_THREADS
    pthread_mutex_lock(&self->lock);
    self->wanted = least;
    while (self->done.count < least && !self->stopped)
        if (pthread_cond_timedwait(&self->is_done, &self->lock, &until) != 0)
            break;
    self->wanted = 0;
    pthread_mutex_unlock(&self->lock);
    Py_END_ALLOW_THREADS
}

static Queue take_done(Readers *self)
{
    pthread_mutex_lock(&self->lock);
    Queue done = self->done;
    self->done = (Queue){NULL, NULL, 0};
    pthread_mutex_unlock(&self->lock);
    self->waiting -= done.count;
    return done;
}

PyDoc_STRVAR(take_doc,
"take(least, wait_ms, /)\n--\n\n"
"Wait until so many batches are done, or that time is over; give what is done, also where it is less or nothing.\n\n"
"Returns the states, and for each batch of which something is left to the exact way its folder, start and names: that descriptor\n"
"is the caller's then.");

static PyObject *readers_take(Readers *self, PyObject *arguments)
{
    Py_ssize_t least;
    long wait_ms;
    if (!PyArg_ParseTuple(arguments, "nl", &least, &wait_ms))
        return NULL;
    PyObject *states = PyList_New(0), *left = PyList_New(0), *both = NULL;
    int failed = states == NULL || left == NULL;
    Queue done = {NULL, NULL, 0};
    if (!failed) {
        if (least > 0)
            wait_done(self, least, wait_ms);
        done = take_done(self);
    }
    for (Batch *batch; (batch = pop(&done)) != NULL;) { /* all of them are freed, also after an error */
        failed = failed || take_batch(self, batch, states, left) < 0;
        free_batch(batch);
    }
    if (!failed)
        both = PyTuple_Pack(2, states, left);
    Py_XDECREF(states);
    Py_XDECREF(left);
    return both;
}

PyDoc_STRVAR(stop_doc,
"stop()\n--\n\n"
"Have all threads return, at the next block of a file; what was not read by then never is.");

static PyObject *readers_stop(Readers *self, PyObject *Py_UNUSED(none))
{
    pthread_mutex_lock(&self->lock);
    self->stopped = 1;
    pthread_cond_broadcast(&self->to_read);
    pthread_cond_broadcast(&self->is_done);
    pthread_mutex_unlock(&self->lock);
    Py_RETURN_NONE;
}

static void free_batches(Readers *self)
{
    for (Batch *batch; (batch = pop(&self->todo)) != NULL;)
        free_batch(batch);
    for (Batch *batch; (batch = pop(&self->done)) != NULL;)
        free_batch(batch);
    self->waiting = 0;
}

PyDoc_STRVAR(clear_doc,
"clear()\n--\n\n"
"Give back what was put and is not taken, with its descriptors.\n\n"
"Raises:\n    RuntimeError: If it is not stopped, or a thread is at work.");

static PyObject *readers_clear(Readers *self, PyObject *Py_UNUSED(none))
{
    pthread_mutex_lock(&self->lock);
    int is_over = self->stopped && self->working == 0; /* who enters now returns without a look at a batch */
    pthread_mutex_unlock(&self->lock);
    if (!is_over) {
        PyErr_SetString(PyExc_RuntimeError, "it is not stopped, or a thread is at work");
        return NULL;
    }
    free_batches(self);
    Py_RETURN_NONE;
}

static PyObject *readers_bytes_read(Readers *self, void *Py_UNUSED(closure))
{
    return PyLong_FromLongLong(atomic_load(&self->bytes_read));
}

/* ---- listing: os.scandir() without an object for each entry ---- */

enum kind { FILES, FOLDERS, OTHERS, KINDS };

/* From the listing where the file system tells it there. */
static enum kind kind_of(int folder, const struct dirent64 *entry)
{
    struct stat seen;
    if (entry->d_type == DT_REG)
        return FILES;
    if (entry->d_type == DT_DIR)
        return FOLDERS;
    if (entry->d_type != DT_UNKNOWN || fstatat(folder, entry->d_name, &seen, AT_SYMLINK_NOFOLLOW) < 0)
        return OTHERS; /* of the last, its reading will say why */
    return S_ISREG(seen.st_mode) ? FILES : S_ISDIR(seen.st_mode) ? FOLDERS : OTHERS;
}

static int is_dots(const char *name)
{
    return name[0] == '.' && (name[1] == 0 || (name[1] == '.' && name[2] == 0));
}

/* Gives how many names there were; -1: an error that Python knows of. */
static Py_ssize_t keep_names(int folder, const char *listed, long size, PyObject **lists)
{
    Py_ssize_t count = 0;
    for (long at = 0; at < size;) {
        const struct dirent64 *entry = (const struct dirent64 *)(listed + at);
        at += entry->d_reclen;
        if (is_dots(entry->d_name))
            continue;
        PyObject *name = PyBytes_FromString(entry->d_name);
        int failed = name == NULL ? -1 : PyList_Append(lists[kind_of(folder, entry)], name);
        Py_XDECREF(name);
        if (failed)
            return -1;
        count++;
    }
    return count;
}

/* Gives whether there may be more; -1: an error that Python knows of. What came before one is given first: it comes again. */
static int list_piece(int folder, Py_ssize_t most, PyObject **lists)
{
    _Alignas(struct dirent64) char listed[LISTED];
    for (Py_ssize_t count = 0; count < most;) {
        long size;
        Py_BEGIN_ALLOW_THREADS
        size = getdents64(folder, listed, sizeof listed);
        Py_END_ALLOW_THREADS
        if (size == 0)
            return 0;
        if (size < 0 && count > 0)
            return 1;
        if (size < 0) {
            PyErr_SetFromErrno(PyExc_OSError);
            return -1;
        }
        Py_ssize_t more = keep_names(folder, listed, size, lists);
        if (more < 0)
            return -1;
        count += more;
    }
    return 1;
}

PyDoc_STRVAR(list_doc,
"list_names(folder, most, /)\n--\n\n"
"List on in an open folder, for so many names or some more.\n\n"
"Returns the names of regular files, of folders and of all else, and whether there may be more.\n\n"
"Raises:\n    OSError: If the folder cannot be listed.");

static PyObject *list_names(PyObject *Py_UNUSED(module), PyObject *arguments)
{
    int folder;
    Py_ssize_t most;
    if (!PyArg_ParseTuple(arguments, "in", &folder, &most))
        return NULL;
    PyObject *lists[KINDS] = {PyList_New(0), PyList_New(0), PyList_New(0)}, *result = NULL;
    if (lists[FILES] != NULL && lists[FOLDERS] != NULL && lists[OTHERS] != NULL) {
        int more = list_piece(folder, most, lists);
        if (more >= 0)
            result = PyTuple_Pack(4, lists[FILES], lists[FOLDERS], lists[OTHERS], more ? Py_True : Py_False);
    }
    for (int kind = 0; kind < KINDS; kind++)
        Py_XDECREF(lists[kind]);
    return result;
}

/* ---- the shortcut by times: fimkit.baseline.plain.is_unchanged() for some files at once ---- */

static int is_number(PyObject *value, long long wanted)
{
    int overflow;
    return PyLong_Check(value) && PyLong_AsLongLongAndOverflow(value, &overflow) == wanted && !overflow;
}

static int is_time(PyObject *value, const struct timespec *time)
{
    return !is_far(time) && is_number(value, (long long)time->tv_sec * 1000000000 + time->tv_nsec);
}

static int is_unchanged(PyObject *row, PyObject *kind, const struct stat *seen)
{
    if (!PyTuple_Check(row) || PyTuple_GET_SIZE(row) != STATE_FIELDS || !S_ISREG(seen->st_mode))
        return 0;
    PyObject **fields = &PyTuple_GET_ITEM(row, 0);
    return is_time(fields[CTIME], &seen->st_ctim) && is_number(fields[INODE], (long long)seen->st_ino)
        && is_time(fields[MTIME], &seen->st_mtim) && is_number(fields[SIZE], seen->st_size)
        && is_number(fields[DEV], (long long)seen->st_dev) && is_number(fields[NLINK], (long long)seen->st_nlink)
        && is_number(fields[UID], seen->st_uid) && is_number(fields[GID], seen->st_gid)
        && is_number(fields[MODE], seen->st_mode & 07777) && fields[KIND] == kind && fields[SHA256] != Py_None
        && fields[XATTRS] != Py_None && fields[PROBLEM] == Py_None;
}

/* Looks at each name; where that is not possible it seems to be no file. */
static struct stat *look(int folder, PyObject *names)
{
    Py_ssize_t count = PyTuple_GET_SIZE(names);
    struct stat *seen = PyMem_Calloc((size_t)count + 1, sizeof *seen);
    if (seen == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    for (Py_ssize_t number = 0; number < count; number++) {
        char *name;
        if (PyBytes_AsStringAndSize(PyTuple_GET_ITEM(names, number), &name, NULL) < 0) {
            PyMem_Free(seen);
            return NULL;
        }
    }
    Py_BEGIN_ALLOW_THREADS
    for (Py_ssize_t number = 0; number < count; number++)
        if (fstatat(folder, PyBytes_AS_STRING(PyTuple_GET_ITEM(names, number)), &seen[number], AT_SYMLINK_NOFOLLOW) < 0)
            seen[number].st_mode = 0;
    Py_END_ALLOW_THREADS
    return seen;
}

static PyObject *find_among(int folder, PyObject *names, PyObject *rows, PyObject *kind)
{
    struct stat *seen = look(folder, names);
    if (seen == NULL)
        return NULL;
    PyObject *changed = PyList_New(0);
    for (Py_ssize_t place = 0; changed != NULL && place < PyTuple_GET_SIZE(names); place++) {
        if (is_unchanged(PyTuple_GET_ITEM(rows, place), kind, &seen[place]))
            continue;
        PyObject *number = PyLong_FromSsize_t(place);
        if (number == NULL || PyList_Append(changed, number) < 0)
            Py_CLEAR(changed);
        Py_XDECREF(number);
    }
    PyMem_Free(seen);
    return changed;
}

PyDoc_STRVAR(changed_doc,
"find_changed(folder, names, rows, kind, /)\n--\n\n"
"Look at the files of an open folder without opening them.\n\n"
"Returns the places of those that are not exactly as their rows say, or have none.");

static PyObject *find_changed(PyObject *Py_UNUSED(module), PyObject *arguments)
{
    int folder;
    PyObject *given_names, *given_rows, *kind, *changed = NULL;
    if (!PyArg_ParseTuple(arguments, "iOOO", &folder, &given_names, &given_rows, &kind))
        return NULL;
    PyObject *names = PySequence_Tuple(given_names), *rows = names == NULL ? NULL : PySequence_Tuple(given_rows);
    if (rows != NULL && PyTuple_GET_SIZE(names) == PyTuple_GET_SIZE(rows))
        changed = find_among(folder, names, rows, kind);
    else if (rows != NULL)
        PyErr_SetString(PyExc_ValueError, "expected a row, or None, for each name");
    Py_XDECREF(names);
    Py_XDECREF(rows);
    return changed;
}

/* ---- two messages at once, for who wants to know whether that is right here ---- */

static int hash_two(const Py_buffer *messages, unsigned char (*digests)[SHA256_SIZE])
{
    Manager *manager = new_manager();
    if (manager == NULL)
        return 0;
    int count = 0, good = 0;
    for (int number = 0; number < 2; number++)
        count += submit(manager, messages[number].buf, (size_t)messages[number].len, digests[number], digests[number], &good) != NULL && good;
    while (flush(manager, &good) != NULL)
        count += good;
    free_manager(manager);
    return count == 2;
}

PyDoc_STRVAR(pair_doc,
"hash_pair(first, second, /)\n--\n\n"
"Hash two messages at once, without OpenSSL; returns the digests.\n\n"
"Raises:\n    RuntimeError: If nothing here does that.\n    ValueError: If one is as long as a large file.");

static PyObject *hash_pair(PyObject *Py_UNUSED(module), PyObject *arguments)
{
    Py_buffer messages[2];
    unsigned char digests[2][SHA256_SIZE];
    if (!PyArg_ParseTuple(arguments, "y*y*", &messages[0], &messages[1]))
        return NULL;
    PyObject *both = NULL;
    if (messages[0].len >= TABLE || messages[1].len >= TABLE)
        PyErr_Format(PyExc_ValueError, "expected messages of less than %d bytes", TABLE);
    else if (why_one[0] != 0 || !hash_two(messages, digests))
        PyErr_SetString(PyExc_RuntimeError, why_one[0] != 0 ? why_one : "libipsec-mb did not hash both");
    else
        both = Py_BuildValue("(y#y#)", digests[0], (Py_ssize_t)SHA256_SIZE, digests[1], (Py_ssize_t)SHA256_SIZE);
    PyBuffer_Release(&messages[0]);
    PyBuffer_Release(&messages[1]);
    return both;
}

/* ---- the type ---- */

static int most_lanes(void)
{
    return why_one[0] == 0 ? LANES : 1;
}

static int is_state_type(PyObject *type)
{
    if (PyType_Check(type) && PyType_IsSubtype((PyTypeObject *)type, &PyTuple_Type)
        && ((PyTypeObject *)type)->tp_basicsize == PyTuple_Type.tp_basicsize
        && ((PyTypeObject *)type)->tp_itemsize == PyTuple_Type.tp_itemsize)
        return 1;
    PyErr_SetString(PyExc_TypeError, "expected a named tuple's type, without further attributes");
    return 0;
}

static PyObject *readers_new(PyTypeObject *type, PyObject *arguments, PyObject *keywords)
{
    PyObject *state, *kind, *no_xattrs, *render;
    static char *names[] = {"state", "kind", "no_xattrs", "render", "lanes", NULL};
    int lanes;
    if (!PyArg_ParseTupleAndKeywords(arguments, keywords, "OOOOi", names, &state, &kind, &no_xattrs, &render, &lanes)
        || !is_state_type(state))
        return NULL;
    if (lanes < 1 || lanes > most_lanes()) {
        PyErr_Format(PyExc_ValueError, "expected 1 to %d messages hashed at once, not %d", most_lanes(), lanes);
        return NULL;
    }
    Readers *self = (Readers *)type->tp_alloc(type, 0); /* all zero */
    if (self == NULL)
        return NULL;
    self->lanes = lanes;
    self->state = (PyTypeObject *)Py_NewRef(state);
    self->kind = Py_NewRef(kind);
    self->no_xattrs = Py_NewRef(no_xattrs);
    self->render = Py_NewRef(render);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&self->lock, NULL); /* none of these fails on Linux */
    pthread_cond_init(&self->to_read, NULL);
    pthread_cond_init(&self->is_done, &monotonic);
    pthread_condattr_destroy(&monotonic);
    return (PyObject *)self;
}

/* No thread is in work() any more: each holds on to this. */
static void readers_dealloc(Readers *self)
{
    PyTypeObject *type = Py_TYPE(self);
    free_batches(self);
    pthread_cond_destroy(&self->is_done);
    pthread_cond_destroy(&self->to_read);
    pthread_mutex_destroy(&self->lock);
    Py_XDECREF(self->mode);
    Py_XDECREF(self->dev);
    Py_DECREF(self->state);
    Py_DECREF(self->kind);
    Py_DECREF(self->no_xattrs);
    Py_DECREF(self->render);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyMethodDef readers_methods[] = {
    {"clear", (PyCFunction)readers_clear, METH_NOARGS, clear_doc},
    {"put", (PyCFunction)readers_put, METH_VARARGS, put_doc},
    {"stop", (PyCFunction)readers_stop, METH_NOARGS, stop_doc},
    {"take", (PyCFunction)readers_take, METH_VARARGS, take_doc},
    {"work", (PyCFunction)readers_work, METH_NOARGS, work_doc},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef readers_members[] = {
    {"waiting", T_PYSSIZET, offsetof(Readers, waiting), READONLY, "Batches that were put and not taken."},
    {NULL, 0, 0, 0, NULL},
};

static PyGetSetDef readers_computed[] = {
    {"bytes_read", (getter)readers_bytes_read, NULL, "How much was hashed so far.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot readers_slots[] = {
    {Py_tp_doc, "Reads ordinary files of open folders, by threads of which each calls work()."},
    {Py_tp_new, readers_new},
    {Py_tp_dealloc, readers_dealloc},
    {Py_tp_methods, readers_methods},
    {Py_tp_members, readers_members},
    {Py_tp_getset, readers_computed},
    {0, NULL},
};

static PyType_Spec readers_spec = {"fimkit.baseline._plain.Readers", sizeof(Readers), 0, Py_TPFLAGS_DEFAULT, readers_slots};

static int exec_module(PyObject *module)
{
    if (!load_library())
        return -1;
    load_jobs();
    PyObject *type = PyType_FromSpec(&readers_spec);
    if (type == NULL)
        return -1;
    int failed = PyModule_AddObjectRef(module, "Readers", type);
    Py_DECREF(type);
    if (failed || PyModule_AddIntConstant(module, "LANES", most_lanes()) < 0
        || PyModule_AddStringConstant(module, "WHY_ONE", why_one) < 0 || PyModule_AddIntMacro(module, TABLE) < 0)
        return -1;
    return PyModule_AddIntMacro(module, REVISION);
}

static PyMethodDef module_methods[] = {
    {"find_changed", find_changed, METH_VARARGS, changed_doc},
    {"hash_pair", hash_pair, METH_VARARGS, pair_doc},
    {"list_names", list_names, METH_VARARGS, list_doc},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot module_slots[] = {
    {Py_mod_exec, exec_module},
    {0, NULL},
};

static struct PyModuleDef module_definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "fimkit.baseline._plain",
    .m_doc = "The inner loop of a scan, compiled; without it the Python way gives the same states.",
    .m_methods = module_methods,
    .m_slots = module_slots,
};

PyMODINIT_FUNC PyInit__plain(void)
{
    return PyModuleDef_Init(&module_definition);
}
