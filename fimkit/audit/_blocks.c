/* The inner loop of reading audit logs: the commonest events.
 *
 * - SYSCALL [CWD] PATH... PROCTITLE in one run of lines: what fimkit.audit.fastpath.BLOCK and the memories there take, and no more.
 * - The same with one EXECVE or OPENAT2 behind the SYSCALL, and single records of types that say nothing of a call (USER_LOGIN,
 *   DAEMON_START): the exact way holds these with their lines, for what may still come, and so does this (fimkit.audit.draft.Held).
 *
 * Whatever else stands in the log it leaves where it is, and the caller reads those lines the Python way. What a text means is Python's affair too: each text that is new
 * here (a process, a folder, a device with its mode) is read by the functions that the memories have, and remembered by its bytes.
 * Here are the tokens, the numbers that never repeat, and the making of tuples. The two ways give equal events (tested).
 *
 * The bytes are hostile. Every step forward is checked against the end of its line, and every line against the end of the piece; a
 * length is never taken from the text. Nothing is kept between two calls but the memories, which hold a bounded number of bounded
 * texts.
 */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <string.h>

#ifdef Py_GIL_DISABLED
#error "the memories here count on the interpreter's lock; without it the Python way is used"
#endif

#define REVISION 2 /* as fimkit.audit.compiled.REVISION: raised with every change here */

#define SLOTS 4096        /* of each memory: a power of two */
#define LONGEST_KEPT 1024 /* bytes of one remembered text */
#define MOST_ITEMS 63     /* as fastpath.COUNTS has them */

#define NUMBERS 1024      /* of the numbers that are remembered: a power of two */
#define LONGEST_KIND 64   /* bytes of a record type's name */

enum { EVENT_FIELDS = 17, PATH_FIELDS = 8, PROCESS_FIELDS = 14, ID_FIELDS = 2, HELD_FIELDS = 2 };
enum why { AT_END, NOT_MINE, CLOCK_TURNED };

typedef struct {
    const char *at;
    Py_ssize_t size;
} Text;

static const Text NOTHING = {NULL, 0};

/* ---- memories: what a text was read as; a later text may take the place of an earlier one ---- */

typedef struct {
    uint64_t hash;
    char *text; /* both parts, one behind the other */
    uint32_t first_size, second_size;
    PyObject *value;
} Slot;

typedef struct {
    PyObject *read; /* what to call for a text that is not here; NULL: none */
    Slot *slots;
    Text last_first, last_second; /* asked for last, in the lines at hand: it is likely to be asked for again */
    PyObject *last;               /* its value, or NULL */
} Memory;

static uint64_t load64(const char *at)
{
    uint64_t word;
    memcpy(&word, at, sizeof word);
    return word;
}

static uint64_t mix(uint64_t sum, uint64_t word)
{
    sum = (sum ^ word) * UINT64_C(0x9E3779B97F4A7C15);
    return sum ^ (sum >> 29);
}

/* No defence against texts that were made to collide is needed: they cost a second reading, and an equal text is compared. */
static uint64_t hash_text(Text text, uint64_t start)
{
    uint64_t a = start ^ (uint64_t)text.size, b = 1, c = 2, d = 3;
    const char *at = text.at;
    Py_ssize_t left = text.size;
    for (; left >= 32; at += 32, left -= 32) {
        a = mix(a, load64(at));
        b = mix(b, load64(at + 8));
        c = mix(c, load64(at + 16));
        d = mix(d, load64(at + 24));
    }
    for (; left >= 8; at += 8, left -= 8)
        a = mix(a, load64(at));
    if (left > 0) {
        uint64_t word = 0;
        memcpy(&word, at, (size_t)left);
        b = mix(b, word);
    }
    return mix(mix(a, b), mix(c, d));
}

static void empty_slot(Slot *slot)
{
    PyObject *value = slot->value;
    slot->value = NULL;
    PyMem_Free(slot->text);
    slot->text = NULL;
    Py_XDECREF(value);
}

static int is_kept(const Slot *slot, uint64_t hash, Text first, Text second)
{
    return slot->value != NULL && slot->hash == hash && slot->first_size == (uint64_t)first.size
        && slot->second_size == (uint64_t)second.size && memcmp(slot->text, first.at, (size_t)first.size) == 0
        && (second.size == 0 || memcmp(slot->text + first.size, second.at, (size_t)second.size) == 0);
}

/* Takes the value over in any case; a text that is too long, or for which there is no memory, is not kept. */
static void keep(Slot *slot, uint64_t hash, Text first, Text second, PyObject *value)
{
    if (first.size + second.size > LONGEST_KEPT)
        return;
    char *text = PyMem_Malloc((size_t)(first.size + second.size) + 1);
    if (text == NULL)
        return;
    memcpy(text, first.at, (size_t)first.size);
    if (second.size > 0)
        memcpy(text + first.size, second.at, (size_t)second.size);
    empty_slot(slot);
    slot->hash = hash;
    slot->text = text;
    slot->first_size = (uint32_t)first.size;
    slot->second_size = (uint32_t)second.size;
    Py_INCREF(value);
    slot->value = value;
}

/* Where a text is kept, or would be. */
static Slot *slot_of(Memory *memory, Text first, Text second, uint64_t *hash)
{
    *hash = hash_text(first, 0);
    if (second.at != NULL)
        *hash = hash_text(second, *hash);
    return &memory->slots[*hash & (SLOTS - 1)];
}

static int is_same(Text one, Text other)
{
    return one.size == other.size && (one.size == 0 || memcmp(one.at, other.at, (size_t)one.size) == 0);
}

static void forget_last(Memory *memory)
{
    PyObject *value = memory->last;
    memory->last = NULL;
    Py_XDECREF(value);
}

/* What is remembered, as a new reference, or NULL without an error and the place where it belongs. */
static PyObject *find(Memory *memory, Text first, Text second, Slot **slot, uint64_t *hash)
{
    if (memory->last != NULL && is_same(first, memory->last_first) && is_same(second, memory->last_second))
        return Py_NewRef(memory->last);
    *slot = slot_of(memory, first, second, hash);
    if (!is_kept(*slot, *hash, first, second))
        return NULL;
    forget_last(memory);
    memory->last_first = first;
    memory->last_second = second;
    memory->last = Py_NewRef((*slot)->value);
    return Py_NewRef(memory->last);
}

/* A new reference, or NULL with the reader's error. */
static PyObject *recall(Memory *memory, Text text)
{
    uint64_t hash;
    Slot *slot;
    PyObject *value = find(memory, text, NOTHING, &slot, &hash);
    if (value != NULL)
        return value;
    PyObject *key = PyBytes_FromStringAndSize(text.at, text.size);
    if (key == NULL)
        return NULL;
    value = PyObject_CallOneArg(memory->read, key);
    Py_DECREF(key);
    if (value != NULL)
        keep(slot, hash, text, NOTHING, value);
    return value;
}

/* ---- the type ---- */

/* PATHS and PROCESSES are made here, and ask Python for what is written otherwise. */
enum { HEADS, PATHS, RESTS, PROCESSES, USERS, TITLES, CWDS, KINDS, MEMORIES };

/* What stands between SYSCALL and CWD. */
enum between { NONE, NO_CWD, EXECVE, OPENAT2, SHAPES };

/* A number, where it was made before: flags and modes are few, addresses come again in one program. */
typedef struct {
    uint64_t number;
    PyObject *value;
} Number;

typedef struct {
    PyObject_HEAD
    PyTypeObject *event, *event_id, *path, *process, *held; /* named tuples */
    PyObject *types[SHAPES];                                /* tuples of tuples of record types, by the number of PATHs */
    PyObject *empty;                                        /* () */
    Memory memories[MEMORIES];
    Number *numbers;
    int busy;
} Blocks;

/* ---- tokens: each takes what is expected and steps behind it, or gives 0 ---- */

typedef struct {
    const char *at, *end;
} Cursor;

static int take_word(Cursor *cursor, const char *word, size_t size)
{
    if ((size_t)(cursor->end - cursor->at) < size || memcmp(cursor->at, word, size) != 0)
        return 0;
    cursor->at += size;
    return 1;
}
#define TAKE(cursor, literal) take_word(cursor, literal, sizeof(literal) - 1)

/* All up to the next blank, at least one byte. */
static int take_run(Cursor *cursor)
{
    const char *blank = memchr(cursor->at, ' ', (size_t)(cursor->end - cursor->at));
    const char *stop = blank != NULL ? blank : cursor->end;
    if (stop == cursor->at)
        return 0;
    cursor->at = stop;
    return 1;
}

static int is_digit(char letter)
{
    return letter >= '0' && letter <= '9';
}

/* Decimal, of 1 to `most` digits (18 fit 63 bits), and no digit behind them. */
static int take_decimal(Cursor *cursor, int most, int64_t *number)
{
    int64_t value = 0;
    int count = 0;
    while (cursor->at < cursor->end && is_digit(*cursor->at)) {
        if (++count > most)
            return 0;
        value = value * 10 + (*cursor->at++ - '0');
    }
    *number = value;
    return count > 0;
}

/* Lower-case hex, of 1 to 16 digits, and no digit behind them. */
static int take_hex(Cursor *cursor, uint64_t *number)
{
    uint64_t value = 0;
    int count = 0;
    for (; cursor->at < cursor->end; cursor->at++) {
        char letter = *cursor->at;
        unsigned digit;
        if (is_digit(letter))
            digit = (unsigned)(letter - '0');
        else if (letter >= 'a' && letter <= 'f')
            digit = (unsigned)(letter - 'a') + 10;
        else
            break;
        if (++count > 16)
            return 0;
        value = value << 4 | digit;
    }
    *number = value;
    return count > 0;
}

static int hex_digit(char letter)
{
    if (is_digit(letter))
        return letter - '0';
    if (letter >= 'A' && letter <= 'F')
        return letter - 'A' + 10;
    if (letter >= 'a' && letter <= 'f')
        return letter - 'a' + 10;
    return -1;
}

/* ---- one event's lines ---- */

typedef struct {
    const char *start;
    Text node;  /* "node=NAME ", or nothing */
    Text kind;  /* of a single record; else nothing */
    Text stamp; /* "SECONDS.MILLISECONDS:SERIAL" */
    Text head, process, between, cwd, title; /* `between` is a single record's text, too */
    Text paths[MOST_ITEMS];                  /* from "item=" on */
    uint64_t arguments[4];
    int64_t time_ms, serial, oflag;
    Py_ssize_t count, lines;
    enum between shape;
    const char *end; /* behind the last line */
} Run;

static Text text_between(const char *from, const char *to)
{
    Text text = {from, to - from};
    return text;
}

static int take_stamp(Run *run, Cursor *line)
{
    const char *stamp = line->at;
    int64_t seconds, milliseconds;
    /* [1-8] and nine digits: no other time is of this century and fits 64 bits of nanoseconds */
    if (!take_decimal(line, 10, &seconds) || line->at - stamp != 10 || *stamp < '1' || *stamp > '8' || !TAKE(line, "."))
        return 0;
    const char *fraction = line->at;
    if (!take_decimal(line, 3, &milliseconds) || line->at - fraction != 3 || !TAKE(line, ":")
        || !take_decimal(line, 18, &run->serial))
        return 0;
    run->time_ms = seconds * 1000 + milliseconds;
    run->stamp = text_between(stamp, line->at);
    return TAKE(line, "):");
}

/* A record's type and stamp, from `line` on; all types but SYSCALL are a single record's. */
static int scan_header(Run *run, Cursor *line)
{
    const char *at = line->at;
    if (TAKE(line, "node=")) {
        if (!take_run(line) || !TAKE(line, " "))
            return 0;
    }
    run->start = at;
    run->node = text_between(at, line->at);
    run->kind = NOTHING;
    if (TAKE(line, "type=SYSCALL msg=audit("))
        return take_stamp(run, line) && TAKE(line, " ");
    if (!TAKE(line, "type="))
        return 0;
    const char *kind = line->at;
    while (line->at < line->end && ((*line->at >= 'A' && *line->at <= 'Z') || (line->at > kind && (is_digit(*line->at) || *line->at == '_'))))
        line->at++;
    run->kind = text_between(kind, line->at);
    return run->kind.size > 0 && run->kind.size <= LONGEST_KIND && TAKE(line, " msg=audit(") && take_stamp(run, line);
}

/* One record that says nothing of a call: its text is all behind the stamp, as far as auditd's resolved names. */
static int scan_single(Run *run, Cursor line)
{
    (void)TAKE(&line, " ");
    if (line.at < line.end && line.end[-1] == '\r')
        return 0;
    const char *resolved = memchr(line.at, '\x1d', (size_t)(line.end - line.at));
    run->between = text_between(line.at, resolved != NULL ? resolved : line.end);
    run->end = line.end + 1;
    run->lines = 1;
    return 1;
}

/* SYSCALL's line, behind its stamp. */
static int scan_syscall(Run *run, Cursor line)
{
    int64_t items;
    const char *head = line.at;
    if (!TAKE(&line, "arch=") || !take_run(&line) || !TAKE(&line, " syscall=") || !take_run(&line))
        return 0;
    if (TAKE(&line, " success=") && (!take_run(&line) || !TAKE(&line, " exit=") || !take_run(&line)))
        return 0;
    run->head = text_between(head, line.at);
    if (!TAKE(&line, " a0=") || !take_hex(&line, &run->arguments[0]) || !TAKE(&line, " a1=")
        || !take_hex(&line, &run->arguments[1]) || !TAKE(&line, " a2=") || !take_hex(&line, &run->arguments[2])
        || !TAKE(&line, " a3=") || !take_hex(&line, &run->arguments[3]))
        return 0;
    const char *items_at = line.at + sizeof(" items=") - 1;
    if (!TAKE(&line, " items=") || !take_decimal(&line, 2, &items) || items > MOST_ITEMS
        || (line.at - items_at == 2 && *items_at == '0') || !TAKE(&line, " "))
        return 0;
    const char *process = line.at;
    if (!TAKE(&line, "ppid=") || line.at == line.end)
        return 0;
    run->process = text_between(process, line.end);
    run->count = (Py_ssize_t)items;
    run->end = line.end + 1;
    return 1;
}

/* The next line, if it is of this type and this event, and not empty behind its stamp: what is there. */
static int scan_line(Run *run, const char *end, const char *kind, size_t kind_size, Text *body)
{
    Cursor line = {run->end, end};
    if (!take_word(&line, run->node.at, (size_t)run->node.size) || !take_word(&line, kind, kind_size)
        || !take_word(&line, run->stamp.at, (size_t)run->stamp.size) || !TAKE(&line, "): "))
        return 0;
    const char *newline = memchr(line.at, '\n', (size_t)(end - line.at));
    if (newline == NULL || newline == line.at)
        return 0;
    *body = text_between(line.at, newline);
    run->end = newline + 1;
    run->lines++;
    return 1;
}
#define SCAN(run, end, kind, body) scan_line(run, end, "type=" kind " msg=audit(", sizeof("type=" kind " msg=audit(") - 1, body)

/* The flags are the first that an OPENAT2 record says. */
static int scan_flags(Run *run)
{
    Cursor body = {run->between.at, run->between.at + run->between.size};
    int count = 0;
    run->oflag = 0;
    if (!TAKE(&body, "oflag="))
        return 0;
    for (; body.at < body.end && *body.at >= '0' && *body.at <= '7'; body.at++) {
        if (++count > 20)
            return 0;
        run->oflag = run->oflag << 3 | (*body.at - '0');
    }
    return count > 0 && TAKE(&body, " mode=");
}

static int scan_run(Run *run, const char *at, const char *end)
{
    const char *newline = memchr(at, '\n', (size_t)(end - at));
    if (newline == NULL)
        return 0;
    Cursor line = {at, newline};
    if (!scan_header(run, &line))
        return 0;
    if (run->kind.size > 0)
        return scan_single(run, line);
    if (!scan_syscall(run, line))
        return 0;
    run->lines = 1;
    run->cwd = NOTHING;
    run->shape = NONE;
    if (SCAN(run, end, "CWD", &run->cwd))
        ;
    else if (SCAN(run, end, "EXECVE", &run->between))
        run->shape = EXECVE;
    else if (SCAN(run, end, "OPENAT2", &run->between))
        run->shape = OPENAT2;
    else
        run->shape = NO_CWD;
    if (run->shape == OPENAT2 && !scan_flags(run))
        return 0;
    if ((run->shape == EXECVE || run->shape == OPENAT2) && !SCAN(run, end, "CWD", &run->cwd))
        return 0;
    for (Py_ssize_t number = 0; number < run->count; number++) {
        int64_t item;
        if (!SCAN(run, end, "PATH", &run->paths[number]))
            return 0;
        Cursor body = {run->paths[number].at, run->paths[number].at + run->paths[number].size};
        const char *digits = run->paths[number].at + sizeof("item=") - 1;
        if (!TAKE(&body, "item=") || !take_decimal(&body, 2, &item) || item != number || (*digits == '0' && body.at - digits > 1)
            || !TAKE(&body, " "))
            return 0;
    }
    return SCAN(run, end, "PROCTITLE", &run->title);
}

/* ---- values ---- */

/* A named tuple of so many empty places. The collector need not look at it: it is made of what cannot be part of a circle. */
static PyObject *new_tuple(PyTypeObject *type, Py_ssize_t size)
{
    PyTupleObject *tuple = PyObject_GC_NewVar(PyTupleObject, type, size); /* not tracked yet */
    if (tuple == NULL)
        return NULL;
    for (Py_ssize_t place = 0; place < size; place++)
        tuple->ob_item[place] = NULL;
    PyObject *made = (PyObject *)tuple;
#if PY_VERSION_HEX >= 0x030E0000
    tuple->ob_hash = -1;
#endif
    return made;
}

/* Takes the value over; 0 if there is none. */
static int put(PyObject *tuple, Py_ssize_t place, PyObject *value)
{
    if (value == NULL)
        return 0;
    PyTuple_SET_ITEM(tuple, place, value);
    return 1;
}

static PyObject *shared(PyObject *value)
{
    Py_INCREF(value);
    return value;
}

/* NULL without an error: no hex. */
static PyObject *decode_hex(Text text)
{
    if (text.size % 2 != 0)
        return NULL;
    for (Py_ssize_t place = 0; place < text.size; place++)
        if (hex_digit(text.at[place]) < 0)
            return NULL;
    PyObject *made = PyBytes_FromStringAndSize(NULL, text.size / 2);
    if (made == NULL)
        return NULL;
    char *bytes = PyBytes_AS_STRING(made);
    for (Py_ssize_t place = 0; place < text.size; place += 2)
        bytes[place / 2] = (char)(hex_digit(text.at[place]) << 4 | hex_digit(text.at[place + 1]));
    return made;
}

/* name=: quoted without blanks, in hex, or (null). NULL without an error: another way of writing. */
static PyObject *take_name(Cursor *body)
{
    if (TAKE(body, "\"")) {
        const char *from = body->at;
        while (body->at < body->end && *body->at != '"' && *body->at != ' ' && *body->at != '\x1d')
            body->at++;
        Text name = text_between(from, body->at);
        return TAKE(body, "\"") ? PyBytes_FromStringAndSize(name.at, name.size) : NULL;
    }
    const char *from = body->at;
    if (!take_run(body))
        return NULL;
    Text name = text_between(from, body->at);
    if (name.size == 6 && memcmp(name.at, "(null)", 6) == 0)
        return shared(Py_None);
    return decode_hex(name);
}

/* A PATH that was not there before. NULL without an error: one that only Python reads. */
static PyObject *make_path(Blocks *self, Text text, Py_ssize_t number)
{
    Cursor body = {text.at, text.at + text.size};
    int64_t item, inode;
    if (!TAKE(&body, "item=") || !take_decimal(&body, 2, &item) || !TAKE(&body, " name="))
        return NULL;
    PyObject *name = take_name(&body);
    if (name == NULL)
        return NULL;
    PyObject *made = NULL, *rest = NULL;
    if (!TAKE(&body, " inode=") || !take_decimal(&body, 18, &inode) || !TAKE(&body, " "))
        goto done;
    const char *start = body.at;
    if (!TAKE(&body, "dev="))
        goto done;
    rest = recall(&self->memories[RESTS], text_between(start, body.end));
    if (rest == NULL)
        goto done;
    if (!PyTuple_Check(rest) || PyTuple_GET_SIZE(rest) != PATH_FIELDS - 3) {
        PyErr_SetString(PyExc_TypeError, "expected a tuple of a PATH's five last values");
        goto done;
    }
    made = new_tuple(self->path, PATH_FIELDS);
    if (made == NULL)
        goto done;
    PyTuple_SET_ITEM(made, 1, shared(name));
    for (Py_ssize_t place = 0; place < PATH_FIELDS - 3; place++)
        PyTuple_SET_ITEM(made, place + 3, shared(PyTuple_GET_ITEM(rest, place)));
    if (!put(made, 0, PyLong_FromSsize_t(number)) || !put(made, 2, PyLong_FromLongLong(inode)))
        Py_CLEAR(made);
done:
    Py_DECREF(name);
    Py_XDECREF(rest);
    return made;
}

/* Item 0 is a folder as a rule, and the same again and again: it is remembered whole. */
static PyObject *make_first_path(Blocks *self, Text text)
{
    uint64_t hash;
    Slot *slot;
    PyObject *made = find(&self->memories[PATHS], text, NOTHING, &slot, &hash);
    if (made != NULL)
        return made;
    made = make_path(self, text, 0);
    if (made != NULL)
        keep(slot, hash, text, NOTHING, made);
    return made;
}

static PyObject *make_paths(Blocks *self, const Run *run)
{
    PyObject *made = PyTuple_New(run->count);
    for (Py_ssize_t number = 0; made != NULL && number < run->count; number++) {
        PyObject *path = number > 0 ? make_path(self, run->paths[number], number) : make_first_path(self, run->paths[0]);
        if (path == NULL && !PyErr_Occurred())
            path = recall(&self->memories[PATHS], run->paths[number]);
        if (!put(made, number, path))
            Py_CLEAR(made);
    }
    if (made != NULL && run->count > 0)
        PyObject_GC_UnTrack(made);
    return made;
}

static int is_tuple_of(PyObject *value, Py_ssize_t size)
{
    if (PyTuple_Check(value) && PyTuple_GET_SIZE(value) == size)
        return 1;
    PyErr_SetString(PyExc_TypeError, "a memory gave something else than was agreed");
    return 0;
}

/* The process, the rule's key, and the call's resolved name, of a pair that was not there before. */
static PyObject *make_process(Blocks *self, const Run *run)
{
    Cursor fields = {run->process.at, run->process.at + run->process.size};
    int64_t ppid, pid;
    if (!TAKE(&fields, "ppid=") || !take_decimal(&fields, 9, &ppid) || !TAKE(&fields, " pid=") || !take_decimal(&fields, 9, &pid)
        || !TAKE(&fields, " ")) {
        PyErr_SetString(PyExc_ValueError, "a process that only the exact way reads");
        return NULL;
    }
    static const struct { int part; Py_ssize_t size, place; } PARTS[] = {{0, 5, 2}, {1, 3, 7}, {2, 2, 12}};
    PyObject *made = NULL, *process = NULL, *title = NULL;
    PyObject *user = recall(&self->memories[USERS], text_between(fields.at, fields.end));
    if (user == NULL || !is_tuple_of(user, 5))
        goto done;
    title = recall(&self->memories[TITLES], run->title);
    if (title == NULL)
        goto done;
    process = new_tuple(self->process, PROCESS_FIELDS);
    if (process == NULL)
        goto done;
    for (int number = 0; number < 3; number++) {
        PyObject *part = PyTuple_GET_ITEM(user, PARTS[number].part);
        if (!is_tuple_of(part, PARTS[number].size))
            goto done;
        for (Py_ssize_t place = 0; place < PARTS[number].size; place++)
            PyTuple_SET_ITEM(process, PARTS[number].place + place, shared(PyTuple_GET_ITEM(part, place)));
    }
    PyTuple_SET_ITEM(process, 10, shared(title));
    PyTuple_SET_ITEM(process, 11, shared(Py_None));
    if (!put(process, 0, PyLong_FromLongLong(pid)) || !put(process, 1, PyLong_FromLongLong(ppid)))
        goto done;
    made = PyTuple_Pack(3, process, PyTuple_GET_ITEM(user, 3), PyTuple_GET_ITEM(user, 4));
done:
    Py_XDECREF(user);
    Py_XDECREF(title);
    Py_XDECREF(process);
    return made;
}

static PyObject *recall_process(Blocks *self, const Run *run)
{
    uint64_t hash;
    Slot *slot;
    PyObject *made = find(&self->memories[PROCESSES], run->process, run->title, &slot, &hash);
    if (made != NULL)
        return made;
    made = make_process(self, run);
    if (made != NULL)
        keep(slot, hash, run->process, run->title, made);
    return made;
}

/* An int; one that was made before, where it is remembered. */
static PyObject *make_number(Blocks *self, uint64_t number)
{
    Number *place = &self->numbers[mix(number, 0) >> 20 & (NUMBERS - 1)];
    if (place->value != NULL && place->number == number)
        return Py_NewRef(place->value);
    PyObject *made = PyLong_FromUnsignedLongLong(number);
    if (made != NULL) {
        PyObject *before = place->value;
        place->number = number;
        place->value = Py_NewRef(made);
        Py_XDECREF(before);
    }
    return made;
}

static PyObject *make_args(Blocks *self, const Run *run)
{
    PyObject *made = PyTuple_New(4);
    for (int number = 0; made != NULL && number < 4; number++)
        if (!put(made, number, make_number(self, run->arguments[number])))
            Py_CLEAR(made);
    if (made != NULL)
        PyObject_GC_UnTrack(made);
    return made;
}

/* EXECVE's arguments, a0 to the last, each whole. NULL without an error: written otherwise. */
static PyObject *make_argv(Text text)
{
    Cursor body = {text.at, text.at + text.size};
    int64_t argc;
    if (!TAKE(&body, "argc=") || !take_decimal(&body, 5, &argc) || argc > text.size / 4)
        return NULL;
    PyObject *made = PyTuple_New((Py_ssize_t)argc);
    for (int64_t number = 0; made != NULL && number < argc; number++) {
        int64_t place;
        const char *digits = body.at + 2;
        PyObject *value = NULL;
        if (TAKE(&body, " a") && take_decimal(&body, 5, &place) && place == number && (*digits != '0' || body.at - digits == 1)
            && TAKE(&body, "="))
            value = take_name(&body);
        if (value == Py_None) { /* (null): an argument that the kernel could not read */
            Py_DECREF(value);
            value = PyBytes_FromStringAndSize(NULL, 0);
        }
        if (!put(made, (Py_ssize_t)number, value))
            Py_CLEAR(made);
    }
    if (made != NULL && body.at != body.end)
        Py_CLEAR(made);
    if (made != NULL && argc > 0)
        PyObject_GC_UnTrack(made);
    return made;
}

/* The same process with its arguments; takes the arguments over. */
static PyObject *with_arguments(Blocks *self, PyObject *process, PyObject *argv)
{
    PyObject *made = new_tuple(self->process, PROCESS_FIELDS);
    for (Py_ssize_t place = 0; made != NULL && place < PROCESS_FIELDS; place++)
        if (place != 11)
            PyTuple_SET_ITEM(made, place, shared(PyTuple_GET_ITEM(process, place)));
    if (made == NULL)
        Py_DECREF(argv);
    else
        PyTuple_SET_ITEM(made, 11, argv);
    return made;
}

static PyObject *make_id(Blocks *self, const Run *run)
{
    PyObject *made = new_tuple(self->event_id, ID_FIELDS);
    if (made != NULL && (!put(made, 0, make_number(self, (uint64_t)run->time_ms)) || !put(made, 1, PyLong_FromLongLong(run->serial))))
        Py_CLEAR(made);
    return made;
}

static PyObject *make_key(const Run *run)
{
    PyObject *made = PyBytes_FromStringAndSize(NULL, run->node.size + run->stamp.size);
    if (made == NULL)
        return NULL;
    memcpy(PyBytes_AS_STRING(made), run->node.at, (size_t)run->node.size);
    memcpy(PyBytes_AS_STRING(made) + run->node.size, run->stamp.at, (size_t)run->stamp.size);
    return made;
}

/* What every event has: id, node, cwd, the place, and nothing in all other places. */
static PyObject *begin_event(Blocks *self, const Run *run, PyObject *file, Py_ssize_t line)
{
    PyObject *event = new_tuple(self->event, EVENT_FIELDS);
    if (event == NULL)
        return NULL;
    PyTuple_SET_ITEM(event, 15, shared(file));
    if (!put(event, 0, make_id(self, run))
        || !put(event, 1, run->node.size == 0 ? shared(Py_None) : PyBytes_FromStringAndSize(run->node.at + 5, run->node.size - 6))
        || !put(event, 16, PyLong_FromSsize_t(line)))
        Py_CLEAR(event);
    return event;
}

/* NULL with an error: LookupError and ValueError are the readers' word for what only the exact way reads. */
static PyObject *make_event(Blocks *self, const Run *run, PyObject *file, Py_ssize_t line)
{
    PyObject *event = NULL, *head = NULL, *who = NULL, *process = NULL;
    PyObject *paths = make_paths(self, run);
    if (paths == NULL)
        return NULL;
    head = recall(&self->memories[HEADS], run->head);
    if (head == NULL || !is_tuple_of(head, 4))
        goto done;
    who = recall_process(self, run);
    if (who == NULL || !is_tuple_of(who, 3))
        goto done;
    process = shared(PyTuple_GET_ITEM(who, 0));
    if (run->shape == EXECVE) {
        PyObject *argv = make_argv(run->between);
        if (argv == NULL && !PyErr_Occurred())
            PyErr_SetString(PyExc_ValueError, "arguments that only the exact way reads");
        if (argv == NULL)
            goto done;
        Py_SETREF(process, with_arguments(self, process, argv));
        if (process == NULL)
            goto done;
    }
    event = begin_event(self, run, file, line);
    if (event == NULL)
        goto done;
    PyObject *call = PyTuple_GET_ITEM(who, 2); /* as the log resolved it; else by its number */
    PyTuple_SET_ITEM(event, 2, shared(PyTuple_GET_ITEM(self->types[run->shape], run->count)));
    PyTuple_SET_ITEM(event, 3, shared(call != Py_None ? call : PyTuple_GET_ITEM(head, 0)));
    for (Py_ssize_t place = 1; place < 4; place++)
        PyTuple_SET_ITEM(event, place + 3, shared(PyTuple_GET_ITEM(head, place)));
    PyTuple_SET_ITEM(event, 8, shared(PyTuple_GET_ITEM(who, 1)));
    PyTuple_SET_ITEM(event, 9, shared(process));
    PyTuple_SET_ITEM(event, 11, shared(paths));
    PyTuple_SET_ITEM(event, 14, shared(self->empty));
    if (!put(event, 7, make_args(self, run))
        || !put(event, 10, run->cwd.at == NULL ? shared(Py_None) : recall(&self->memories[CWDS], run->cwd))
        || !put(event, 12, PyLong_FromSsize_t(run->count))
        || !put(event, 13, run->shape == OPENAT2 ? PyLong_FromLongLong(run->oflag) : shared(Py_None)))
        Py_CLEAR(event);
done:
    Py_DECREF(paths);
    Py_XDECREF(head);
    Py_XDECREF(who);
    Py_XDECREF(process);
    return event;
}

/* An event of a single record. */
static PyObject *make_single(Blocks *self, const Run *run, PyObject *file, Py_ssize_t line)
{
    PyObject *event = NULL, *text = NULL, *one = NULL;
    PyObject *kind = recall(&self->memories[KINDS], run->kind); /* a tuple of the one type */
    if (kind == NULL || !is_tuple_of(kind, 1))
        goto done;
    text = PyBytes_FromStringAndSize(run->between.at, run->between.size);
    one = text == NULL ? NULL : PyTuple_Pack(2, PyTuple_GET_ITEM(kind, 0), text);
    if (one == NULL)
        goto done;
    event = begin_event(self, run, file, line);
    if (event == NULL)
        goto done;
    static const Py_ssize_t NO[] = {3, 4, 5, 6, 8, 9, 10, 12, 13};
    for (size_t number = 0; number < sizeof NO / sizeof *NO; number++)
        PyTuple_SET_ITEM(event, NO[number], shared(Py_None));
    PyTuple_SET_ITEM(event, 2, shared(kind));
    PyTuple_SET_ITEM(event, 7, shared(self->empty));
    PyTuple_SET_ITEM(event, 11, shared(self->empty));
    if (!put(event, 14, PyTuple_Pack(1, one)))
        Py_CLEAR(event);
done:
    Py_XDECREF(kind);
    Py_XDECREF(text);
    Py_XDECREF(one);
    return event;
}

/* An event with its lines; takes the event over. */
static PyObject *hold(Blocks *self, const Run *run, PyObject *event)
{
    PyObject *held = new_tuple(self->held, HELD_FIELDS);
    if (held == NULL) {
        Py_DECREF(event);
        return NULL;
    }
    PyTuple_SET_ITEM(held, 0, event);
    if (!put(held, 1, PyBytes_FromStringAndSize(run->start, run->end - run->start)))
        Py_CLEAR(held);
    return held;
}

/* ---- what Python calls ---- */

typedef struct {
    PyObject *lines, *file;
    PyObject *young, *old, *young_drafts, *old_drafts;
    Py_ssize_t position, line, full;
    long long newest_ms, turn_ms;
} Work;

/* 1: taken; 0: not of the expected shape, or known already; -1: an error. */
static int take_one(Blocks *self, Work *work, const Run *run)
{
    PyObject *dicts[4] = {work->young, work->old, work->young_drafts, work->old_drafts};
    PyObject *key = make_key(run);
    if (key == NULL)
        return -1;
    int result = 0;
    for (int number = 0; number < 4; number++) {
        int known = PyDict_GET_SIZE(dicts[number]) > 0 ? PyDict_Contains(dicts[number], key) : 0;
        if (known != 0) {
            result = known < 0 ? -1 : 0;
            goto done;
        }
    }
    int single = run->kind.size > 0, is_held = single || run->shape == EXECVE || run->shape == OPENAT2;
    PyObject *event = single ? make_single(self, run, work->file, work->line) : make_event(self, run, work->file, work->line);
    if (event != NULL && is_held)
        event = hold(self, run, event);
    if (event == NULL) {
        if (PyErr_ExceptionMatches(PyExc_LookupError) || PyErr_ExceptionMatches(PyExc_ValueError))
            PyErr_Clear();
        else
            result = -1;
        goto done;
    }
    result = PyDict_SetItem(is_held ? work->young_drafts : work->young, key, event) < 0 ? -1 : 1;
    Py_DECREF(event);
done:
    Py_DECREF(key);
    return result;
}

/* Whether the generations turn, as EventAssembler._tick has it: before a whole event those that are held do not count. */
static int turns(const Work *work, const Run *run, int held_too)
{
    Py_ssize_t open = PyDict_GET_SIZE(work->young) + (held_too ? PyDict_GET_SIZE(work->young_drafts) : 0);
    return run->time_ms > work->turn_ms || open >= work->full;
}

static int take_all(Blocks *self, Work *work, enum why *why)
{
    const char *start = PyBytes_AS_STRING(work->lines);
    const char *at = start + work->position, *end = start + PyBytes_GET_SIZE(work->lines);
    Run run;
    for (*why = AT_END; at < end;) {
        *why = NOT_MINE;
        if (!scan_run(&run, at, end))
            break;
        int is_held = run.kind.size > 0 || run.shape == EXECVE || run.shape == OPENAT2;
        if (turns(work, &run, is_held)) {
            work->turn_ms = run.time_ms;
            *why = CLOCK_TURNED;
            break;
        }
        int taken = take_one(self, work, &run);
        if (taken < 0)
            return -1;
        if (taken == 0)
            break;
        if (run.time_ms > work->newest_ms)
            work->newest_ms = run.time_ms;
        at = run.end;
        work->line += run.lines;
        if (is_held && run.lines > 1 && turns(work, &run, 1)) { /* the exact way looks at every line */
            work->turn_ms = run.time_ms;
            *why = CLOCK_TURNED;
            break;
        }
        *why = AT_END;
    }
    work->position = at - start;
    return 0;
}

PyDoc_STRVAR(take_doc,
"take(lines, position, line, file, young, old, young_drafts, old_drafts, newest_ms, turn_ms, full, /)\n--\n\n"
"Put the events that begin at a position into ``young`` or, with their lines, ``young_drafts``; stop at what is for the Python way.\n\n"
"Returns the position and the line where it stopped, the newest time seen, and why: 0 at the end, 1 at something else, and 2 where\n"
"the generations turn, with the time of the event at which they do as the fifth value.");

static PyObject *blocks_take(Blocks *self, PyObject *arguments)
{
    Work work;
    enum why why;
    if (!PyArg_ParseTuple(
            arguments, "SnnUO!O!O!O!LLn", &work.lines, &work.position, &work.line, &work.file, &PyDict_Type, &work.young,
            &PyDict_Type, &work.old, &PyDict_Type, &work.young_drafts, &PyDict_Type, &work.old_drafts, &work.newest_ms,
            &work.turn_ms, &work.full))
        return NULL;
    if (work.position < 0 || work.position > PyBytes_GET_SIZE(work.lines)) {
        PyErr_SetString(PyExc_ValueError, "the position is outside of the lines");
        return NULL;
    }
    if (self->busy) {
        PyErr_SetString(PyExc_RuntimeError, "it is at work already");
        return NULL;
    }
    self->busy = 1;
    /* The collector would look through all open events again and again, and none can be part of a circle. */
    int collects = PyGC_Disable();
    int failed = take_all(self, &work, &why);
    if (PyObject_GC_IsTracked(work.young))
        PyObject_GC_UnTrack(work.young);
    if (collects)
        PyGC_Enable();
    for (int number = 0; number < MEMORIES; number++) /* they point into the lines */
        forget_last(&self->memories[number]);
    self->busy = 0;
    if (failed)
        return NULL;
    return Py_BuildValue("(nnLiL)", work.position, work.line, work.newest_ms, (int)why, work.turn_ms);
}

static int is_plain_tuple_type(PyObject *type)
{
    if (PyType_Check(type) && PyType_IsSubtype((PyTypeObject *)type, &PyTuple_Type)
        && ((PyTypeObject *)type)->tp_basicsize == PyTuple_Type.tp_basicsize
        && ((PyTypeObject *)type)->tp_itemsize == PyTuple_Type.tp_itemsize)
        return 1;
    PyErr_SetString(PyExc_TypeError, "expected a named tuple's type, without further attributes");
    return 0;
}

static int is_table(PyObject *table)
{
    if (PyTuple_Check(table) && PyTuple_GET_SIZE(table) > MOST_ITEMS)
        return 1;
    PyErr_Format(PyExc_TypeError, "expected a tuple of at least %d tuples of record types", MOST_ITEMS + 1);
    return 0;
}

static PyObject *blocks_new(PyTypeObject *type, PyObject *arguments, PyObject *keywords)
{
    PyObject *event, *event_id, *path, *process, *held, *types[SHAPES], *read[MEMORIES] = {NULL};
    static char *names[] = {"event", "event_id", "path", "process", "held", "types", "types_without_cwd", "types_execve",
                            "types_openat2", "heads", "paths", "rests", "users", "titles", "cwds", "kinds", NULL};
    if (!PyArg_ParseTupleAndKeywords(
            arguments, keywords, "OOOOOOOOOOOOOOOO", names, &event, &event_id, &path, &process, &held, &types[NONE], &types[NO_CWD],
            &types[EXECVE], &types[OPENAT2], &read[HEADS], &read[PATHS], &read[RESTS], &read[USERS], &read[TITLES], &read[CWDS],
            &read[KINDS]))
        return NULL;
    if (!is_plain_tuple_type(event) || !is_plain_tuple_type(event_id) || !is_plain_tuple_type(path) || !is_plain_tuple_type(process)
        || !is_plain_tuple_type(held))
        return NULL;
    for (int shape = 0; shape < SHAPES; shape++)
        if (!is_table(types[shape]))
            return NULL;
    Blocks *self = (Blocks *)type->tp_alloc(type, 0); /* all zero */
    if (self == NULL)
        return NULL;
    self->event = (PyTypeObject *)shared(event);
    self->event_id = (PyTypeObject *)shared(event_id);
    self->path = (PyTypeObject *)shared(path);
    self->process = (PyTypeObject *)shared(process);
    self->held = (PyTypeObject *)shared(held);
    for (int shape = 0; shape < SHAPES; shape++)
        self->types[shape] = shared(types[shape]);
    for (int number = 0; number < MEMORIES; number++)
        self->memories[number].read = Py_XNewRef(read[number]);
    int good = (self->empty = PyTuple_New(0)) != NULL && (self->numbers = PyMem_Calloc(NUMBERS, sizeof(Number))) != NULL;
    for (int number = 0; good && number < MEMORIES; number++)
        good = (self->memories[number].slots = PyMem_Calloc(SLOTS, sizeof(Slot))) != NULL;
    if (!good) {
        Py_DECREF(self);
        return PyErr_NoMemory();
    }
    return (PyObject *)self;
}

static void blocks_dealloc(Blocks *self)
{
    PyTypeObject *type = Py_TYPE(self);
    for (int number = 0; number < MEMORIES; number++) {
        Memory *memory = &self->memories[number];
        for (size_t place = 0; memory->slots != NULL && place < SLOTS; place++)
            empty_slot(&memory->slots[place]);
        PyMem_Free(memory->slots);
        forget_last(memory);
        Py_XDECREF(memory->read);
    }
    for (size_t place = 0; self->numbers != NULL && place < NUMBERS; place++)
        Py_XDECREF(self->numbers[place].value);
    PyMem_Free(self->numbers);
    Py_XDECREF(self->event);
    Py_XDECREF(self->event_id);
    Py_XDECREF(self->path);
    Py_XDECREF(self->process);
    Py_XDECREF(self->held);
    Py_XDECREF(self->empty);
    for (int shape = 0; shape < SHAPES; shape++)
        Py_XDECREF(self->types[shape]);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyMethodDef blocks_methods[] = {
    {"take", (PyCFunction)blocks_take, METH_VARARGS, take_doc},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot blocks_slots[] = {
    {Py_tp_doc, "Reads the commonest events' lines; what a text means is asked of the functions given."},
    {Py_tp_new, blocks_new},
    {Py_tp_dealloc, blocks_dealloc},
    {Py_tp_methods, blocks_methods},
    {0, NULL},
};

static PyType_Spec blocks_spec = {"fimkit.audit._blocks.Blocks", sizeof(Blocks), 0, Py_TPFLAGS_DEFAULT, blocks_slots};

static int exec_module(PyObject *module)
{
    PyObject *type = PyType_FromSpec(&blocks_spec);
    if (type == NULL)
        return -1;
    int failed = PyModule_AddObjectRef(module, "Blocks", type);
    Py_DECREF(type);
    return failed ? failed : PyModule_AddIntMacro(module, REVISION);
}

static PyModuleDef_Slot module_slots[] = {
    {Py_mod_exec, exec_module},
    {0, NULL},
};

static struct PyModuleDef module_definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "fimkit.audit._blocks",
    .m_doc = "The inner loop of reading audit logs, compiled; without it the Python way gives the same events.",
    .m_slots = module_slots,
};

PyMODINIT_FUNC PyInit__blocks(void)
{
    return PyModuleDef_Init(&module_definition);
}
