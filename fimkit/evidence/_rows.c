/* Some hundred rows of the baseline as one string of bytes, and which states of a scan are as they say.
 *
 * Two halves. SQLite loads this as an extension: its aggregate fimkit_pack(…) puts the columns of rows one behind the other, so that
 * a piece of the baseline comes to Python as one value, and not as fifteen objects a row. A PackedPiece is made of that, finds the
 * row of a path in it, and compares states with rows where they lie: of a row that did not change no object is made.
 *
 * It does what fimkit.evidence.row_pieces.RowPiece does (tested), which stays the reference. What is not surely the same, and what a
 * scan seldom gives, is left to the caller, who has the row decoded by fimkit.evidence.values.decode_state.
 *
 * SQLite hands an extension a table of its functions, to which later versions only append. What is needed of it is spelt out below,
 * so that no header of SQLite is needed where this is built (a test compares with the header where there is one).
 * Source: sqlite.org/loadext.html; sqlite3ext.h.
 */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#ifdef Py_GIL_DISABLED
#error "a piece and the labels that are kept count on the interpreter's lock; without it the Python way is used"
#endif

#define REVISION 3 /* as fimkit.evidence.packed_pieces.REVISION: raised with every change here */

/* The columns of a row, as fimkit.evidence.values.STATE_COLUMNS has them, and so the fields of a state. */
enum { PATH, TYPE, MODE, UID, GID, SIZE, INODE, DEV, NLINK, MTIME, CTIME, DIGEST, TARGET, XATTRS, PROBLEM, FIELDS };
enum { DIGEST_BYTES = 32 };

/* What stands before each value. Source: sqlite.org/c3ref/c_blob.html, whose numbers these are. */
enum tag { INTEGER = 1, REAL, TEXT, BLOB, NOTHING };

/* A row: the length of all of it, the path's length, the path, and the other values, each with its tag. A number is eight bytes, text
 * and bytes follow their length. */
enum { LENGTH = sizeof(uint32_t), NUMBER = sizeof(int64_t), HEAD = 2 * LENGTH };

static uint32_t length_at(const unsigned char *place)
{
    uint32_t length;
    memcpy(&length, place, LENGTH);
    return length;
}

/* ---- SQLite's half: rows become bytes. Nothing of Python is touched: the interpreter's lock is not held here ---- */

typedef struct sqlite3_context Context;
typedef struct sqlite3_value Value;
typedef void (*Step)(Context *, int, Value **);
typedef void (*Unused)(void);

struct routines {
    void *(*aggregate_context)(Context *, int);
    Unused before_create_function[44];
    int (*create_function)(void *, const char *, int, int, void *, Step, Step, void (*)(Context *));
    Unused before_result_blob[32];
    void (*result_blob)(Context *, const void *, int, void (*)(void *));
    Unused before_result_error[1];
    void (*result_error)(Context *, const char *, int);
    Unused before_value_blob[21];
    const void *(*value_blob)(Value *);
    int (*value_bytes)(Value *);
    Unused before_value_double[1];
    double (*value_double)(Value *);
    Unused before_value_int64[1];
    int64_t (*value_int64)(Value *);
    Unused before_value_text[1];
    const unsigned char *(*value_text)(Value *);
    Unused before_value_type[3];
    int (*value_type)(Value *);
    Unused before_nomem[23];
    void (*result_error_nomem)(Context *);
    void (*result_error_toobig)(Context *);
};

enum { OK = 0, ERROR = 1, UTF8 = 1, DIRECT_ONLY = 0x80000 };
enum { FIRST_BYTES = 1 << 16, MOST_BYTES = 1 << 30 }; /* the latter is more than SQLite has in one value */

static const struct routines *sqlite; /* the process's one */

typedef struct {
    unsigned char *bytes;
    size_t length, room;
    enum { GOOD, NO_MEMORY, TOO_BIG, NO_PATH } outcome;
} Packing;

/* Give room for so many bytes more; NULL and an outcome where there is none. */
static unsigned char *extend(Packing *packing, size_t length)
{
    if (length > MOST_BYTES - packing->length) {
        packing->outcome = TOO_BIG;
        return NULL;
    }
    if (packing->length + length > packing->room) {
        size_t room = packing->room ? packing->room : FIRST_BYTES;
        while (room < packing->length + length)
            room *= 2;
        unsigned char *bytes = realloc(packing->bytes, room);
        if (bytes == NULL) {
            packing->outcome = NO_MEMORY;
            return NULL;
        }
        packing->bytes = bytes;
        packing->room = room;
    }
    unsigned char *place = packing->bytes + packing->length;
    packing->length += length;
    return place;
}

static void put_bytes(Packing *packing, const void *bytes, uint32_t length)
{
    unsigned char *place = extend(packing, LENGTH + (size_t)length);
    if (place == NULL)
        return;
    memcpy(place, &length, LENGTH);
    if (length)
        memcpy(place + LENGTH, bytes, length);
}

static void put_number(Packing *packing, const void *number)
{
    unsigned char *place = extend(packing, NUMBER);
    if (place != NULL)
        memcpy(place, number, NUMBER);
}

static void put_value(Packing *packing, Value *value)
{
    int type = sqlite->value_type(value);
    unsigned char *tag = extend(packing, 1);
    if (tag == NULL)
        return;
    *tag = (unsigned char)type;
    if (type == INTEGER) {
        int64_t number = sqlite->value_int64(value);
        put_number(packing, &number);
    } else if (type == REAL) {
        double number = sqlite->value_double(value);
        put_number(packing, &number);
    } else if (type != NOTHING) {
        const void *bytes = type == TEXT ? (const void *)sqlite->value_text(value) : sqlite->value_blob(value);
        int length = sqlite->value_bytes(value);
        if (bytes == NULL && length > 0)
            packing->outcome = NO_MEMORY;
        else
            put_bytes(packing, bytes, (uint32_t)length);
    }
}

static void pack_row(Context *context, int count, Value **values)
{
    Packing *packing = sqlite->aggregate_context(context, sizeof *packing); /* all zero at first */
    if (packing == NULL || packing->outcome != GOOD)
        return;
    if (count != FIELDS || sqlite->value_type(values[PATH]) != BLOB) {
        packing->outcome = NO_PATH;
        return;
    }
    size_t start = packing->length;
    if (extend(packing, LENGTH) == NULL)
        return;
    const void *path = sqlite->value_blob(values[PATH]);
    put_bytes(packing, path, (uint32_t)sqlite->value_bytes(values[PATH]));
    for (int field = TYPE; field < FIELDS && packing->outcome == GOOD; field++)
        put_value(packing, values[field]);
    uint32_t length = (uint32_t)(packing->length - start);
    if (packing->outcome == GOOD)
        memcpy(packing->bytes + start, &length, LENGTH);
}

static void end_packing(Context *context)
{
    Packing *packing = sqlite->aggregate_context(context, 0);
    if (packing == NULL) { /* no row */
        sqlite->result_blob(context, "", 0, NULL);
    } else if (packing->outcome == GOOD) {
        sqlite->result_blob(context, packing->bytes, (int)packing->length, free);
    } else {
        free(packing->bytes);
        if (packing->outcome == NO_MEMORY)
            sqlite->result_error_nomem(context);
        else if (packing->outcome == TOO_BIG)
            sqlite->result_error_toobig(context);
        else
            sqlite->result_error(context, "a path that is none", -1);
    }
}

/* What SQLite calls when it has loaded this. */
Py_EXPORTED_SYMBOL int sqlite3_extension_init(void *connection, char **words, const struct routines *routines)
{
    (void)words;
    sqlite = routines;
    return sqlite->create_function(connection, "fimkit_pack", FIELDS, UTF8 | DIRECT_ONLY, NULL, NULL, pack_row, end_packing) == OK
        ? OK : ERROR;
}

/* ---- Python's half: a piece, and what is in it ---- */

typedef struct {
    PyTypeObject *piece, *state; /* PackedPiece, and fimkit.model.states.FileState */
    PyObject *types;             /* FileType by its text */
    PyObject *decode;            /* fimkit.evidence.values.decode_state */
    PyObject *xattrs;            /* extended attributes by their text: labels are few, and every file has one of them */
} Module;

enum { MOST_XATTRS = 256, LONGEST_XATTRS = 512 };

typedef struct {
    PyObject_HEAD
    Module *module;
    PyObject *owner;  /* the module's object */
    PyObject *packed; /* bytes, which nothing below copies */
    PyObject *start, *end; /* the paths that the piece is of: from the one until before the other; None is no end */
    Py_ssize_t place, count, next;
    const unsigned char **rows;
} Piece;

/* Give where the value behind a tag ends; NULL where it would be beyond the end. */
static const unsigned char *skip_value(const unsigned char *at, const unsigned char *end)
{
    if (at >= end)
        return NULL;
    enum tag tag = *at++;
    size_t left = (size_t)(end - at);
    switch (tag) {
    case INTEGER: case REAL:
        return left < NUMBER ? NULL : at + NUMBER;
    case TEXT: case BLOB:
        return left < LENGTH || left - LENGTH < length_at(at) ? NULL : at + LENGTH + length_at(at);
    case NOTHING:
        return at;
    }
    return NULL;
}

/* Give where a row ends; NULL where it is none. Whoever reads a row later counts on what is looked at here. */
static const unsigned char *skip_row(const unsigned char *row, const unsigned char *end)
{
    size_t left = (size_t)(end - row);
    if (left < HEAD || length_at(row) > left || length_at(row) < HEAD || length_at(row + LENGTH) > length_at(row) - HEAD)
        return NULL;
    const unsigned char *row_end = row + length_at(row), *at = row + HEAD + length_at(row + LENGTH);
    for (int field = TYPE; field < FIELDS && at != NULL; field++)
        at = skip_value(at, row_end);
    return at == row_end ? row_end : NULL;
}

static const char *path_of(const unsigned char *row, Py_ssize_t *length)
{
    *length = length_at(row + LENGTH);
    return (const char *)row + HEAD;
}

static const unsigned char *values_of(const unsigned char *row)
{
    return row + HEAD + length_at(row + LENGTH);
}

static int compare(const char *one, Py_ssize_t one_length, const char *other, Py_ssize_t other_length)
{
    int differs = memcmp(one, other, (size_t)(one_length < other_length ? one_length : other_length));
    return differs ? differs : (one_length > other_length) - (one_length < other_length);
}

static int compare_row(const unsigned char *row, const char *path, Py_ssize_t length)
{
    Py_ssize_t own_length;
    const char *own = path_of(row, &own_length);
    return compare(own, own_length, path, length);
}

/* Tell whether the piece would have a path's row. */
static int spans(Piece *self, PyObject *path)
{
    const char *bytes = PyBytes_AS_STRING(path);
    Py_ssize_t length = PyBytes_GET_SIZE(path);
    return compare(bytes, length, PyBytes_AS_STRING(self->start), PyBytes_GET_SIZE(self->start)) >= 0
        && (self->end == Py_None || compare(bytes, length, PyBytes_AS_STRING(self->end), PyBytes_GET_SIZE(self->end)) < 0);
}

/* Give the number of a path's row, or -1. A scan goes in nearly the same order: the row after the last one is tried first. */
static Py_ssize_t find(Piece *self, PyObject *path)
{
    const char *bytes = PyBytes_AS_STRING(path);
    Py_ssize_t length = PyBytes_GET_SIZE(path), low = 0, high = self->count;
    if (self->next < high && compare_row(self->rows[self->next], bytes, length) == 0)
        return self->next++;
    while (low < high) {
        Py_ssize_t middle = low + (high - low) / 2;
        int order = compare_row(self->rows[middle], bytes, length);
        if (order == 0) {
            self->next = middle + 1;
            return middle;
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return -1;
}

/* ---- a row becomes objects ---- */

/* Give a value as SQLite's module of Python would, and go behind it. */
static PyObject *take_value(const unsigned char **place)
{
    const unsigned char *at = *place;
    enum tag tag = *at++;
    int64_t number;
    double real;
    switch (tag) {
    case INTEGER:
        *place = at + NUMBER;
        memcpy(&number, at, NUMBER);
        return PyLong_FromLongLong(number);
    case REAL:
        *place = at + NUMBER;
        memcpy(&real, at, NUMBER);
        return PyFloat_FromDouble(real);
    case TEXT:
        *place = at + LENGTH + length_at(at);
        return PyUnicode_DecodeUTF8((const char *)at + LENGTH, length_at(at), NULL);
    case BLOB:
        *place = at + LENGTH + length_at(at);
        return PyBytes_FromStringAndSize((const char *)at + LENGTH, length_at(at));
    case NOTHING:
        break;
    }
    *place = at;
    return Py_NewRef(Py_None);
}

static PyObject *path_object(const unsigned char *row)
{
    Py_ssize_t length;
    const char *path = path_of(row, &length);
    return PyBytes_FromStringAndSize(path, length);
}

/* Have a row decoded the exact way. */
static PyObject *decode(Module *module, const unsigned char *row)
{
    PyObject *values = PyTuple_New(FIELDS), *state = NULL;
    const unsigned char *at = values_of(row);
    for (int field = PATH; values != NULL && field < FIELDS; field++) {
        PyObject *value = field == PATH ? path_object(row) : take_value(&at);
        if (value == NULL)
            Py_CLEAR(values);
        else
            PyTuple_SET_ITEM(values, field, value);
    }
    if (values != NULL)
        state = PyObject_CallOneArg(module->decode, values);
    Py_XDECREF(values);
    return state;
}

/* Forget an error that whoever decodes the row comes upon again; an interrupt stays. */
static void forgive(void)
{
    if (PyErr_Occurred() && PyErr_ExceptionMatches(PyExc_Exception))
        PyErr_Clear();
}

/* Give the extended attributes that a row's text says, as they were decoded once; NULL, most often without an error, where they are
 * not kept. */
static PyObject *known_xattrs(Module *module, const unsigned char *row, const unsigned char *text)
{
    if (length_at(text) > LONGEST_XATTRS)
        return NULL;
    PyObject *key = PyBytes_FromStringAndSize((const char *)text + LENGTH, length_at(text));
    PyObject *known = key == NULL ? NULL : PyDict_GetItemWithError(module->xattrs, key), *state = NULL;
    if (known == NULL && !PyErr_Occurred() && (state = decode(module, row)) != NULL && PyTuple_Check(state)
        && PyTuple_GET_SIZE(state) == FIELDS && PyDict_CheckExact(PyTuple_GET_ITEM(state, XATTRS))) {
        if (PyDict_GET_SIZE(module->xattrs) >= MOST_XATTRS)
            PyDict_Clear(module->xattrs);
        if (PyDict_SetItem(module->xattrs, key, PyTuple_GET_ITEM(state, XATTRS)) == 0)
            known = PyTuple_GET_ITEM(state, XATTRS); /* which the dictionary holds now */
    }
    Py_XINCREF(known);
    Py_XDECREF(state);
    Py_XDECREF(key);
    forgive();
    return known;
}

static const char DIGITS[] = "0123456789abcdef";

static PyObject *hex_of(const unsigned char *digest)
{
    PyObject *text = PyUnicode_New(2 * DIGEST_BYTES, 'f');
    if (text == NULL)
        return NULL;
    char *letters = PyUnicode_DATA(text);
    for (int place = 0; place < DIGEST_BYTES; place++) {
        letters[2 * place] = DIGITS[digest[place] >> 4];
        letters[2 * place + 1] = DIGITS[digest[place] & 15];
    }
    return text;
}

/* Give a field of a state where the value is of the usual kind; NULL, with or without an error, where not. */
static PyObject *take_field(Module *module, const unsigned char *row, int field, const unsigned char **place)
{
    const unsigned char *value = *place + 1;
    enum tag tag = **place;
    if (tag == NOTHING && field != TYPE)
        return take_value(place);
    if (field >= MODE && field <= CTIME)
        return tag == INTEGER ? take_value(place) : NULL;
    if (field == TARGET)
        return tag == BLOB ? take_value(place) : NULL;
    if (field == DIGEST && tag == BLOB && length_at(value) == DIGEST_BYTES) {
        *place = value + LENGTH + DIGEST_BYTES;
        return hex_of(value + LENGTH);
    }
    if (field == XATTRS && tag == TEXT) {
        *place = value + LENGTH + length_at(value);
        return known_xattrs(module, row, value);
    }
    if (field == TYPE && tag == TEXT) {
        PyObject *text = take_value(place);
        PyObject *kind = text == NULL ? NULL : PyDict_GetItemWithError(module->types, text);
        Py_XDECREF(text);
        return Py_XNewRef(kind);
    }
    return NULL; /* a problem, and what is seldom */
}

/* Give a row's state: what decode() gives, and most often without it. */
static PyObject *state_of(Module *module, const unsigned char *row, PyObject *path)
{
    PyObject *state = module->state->tp_alloc(module->state, FIELDS);
    if (state == NULL)
        return NULL;
    const unsigned char *at = values_of(row);
    for (int field = PATH; field < FIELDS; field++) {
        PyObject *item = field != PATH ? take_field(module, row, field, &at) : path != NULL ? Py_NewRef(path) : path_object(row);
        if (item == NULL) {
            Py_DECREF(state);
            forgive();
            return PyErr_Occurred() ? NULL : decode(module, row);
        }
        PyTuple_SET_ITEM(state, field, item);
    }
    return state;
}

/* ---- a state and a row are compared: 1 where the two are surely the same, 0 where not, or after an interrupt ---- */

static int same_number(const unsigned char *value, PyObject *item)
{
    if (item == Py_None || *value != INTEGER)
        return item == Py_None && *value == NOTHING;
    if (!PyLong_CheckExact(item))
        return 0;
    int overflows;
    int64_t number = PyLong_AsLongLongAndOverflow(item, &overflows), own;
    memcpy(&own, value + 1, NUMBER);
    return !overflows && number == own;
}

static int same_bytes(const unsigned char *value, const char *bytes, Py_ssize_t length)
{
    return (Py_ssize_t)length_at(value + 1) == length && memcmp(value + 1 + LENGTH, bytes, (size_t)length) == 0;
}

static int same_type(const unsigned char *value, PyObject *item)
{
    Py_ssize_t length;
    if (*value != TEXT || !PyUnicode_Check(item))
        return 0;
    const char *text = PyUnicode_AsUTF8AndSize(item, &length);
    if (text == NULL)
        forgive();
    return text != NULL && same_bytes(value, text, length);
}

static int same_digest(const unsigned char *value, PyObject *item)
{
    if (item == Py_None || *value != BLOB || length_at(value + 1) != DIGEST_BYTES)
        return item == Py_None && *value == NOTHING;
    if (!PyUnicode_CheckExact(item) || !PyUnicode_IS_COMPACT_ASCII(item) || PyUnicode_GET_LENGTH(item) != 2 * DIGEST_BYTES)
        return 0;
    const unsigned char *bytes = value + 1 + LENGTH;
    const char *letters = PyUnicode_DATA(item);
    for (int place = 0; place < DIGEST_BYTES; place++)
        if (letters[2 * place] != DIGITS[bytes[place] >> 4] || letters[2 * place + 1] != DIGITS[bytes[place] & 15])
            return 0;
    return 1;
}

static int same_target(const unsigned char *value, PyObject *item)
{
    if (item == Py_None || *value != BLOB)
        return item == Py_None && *value == NOTHING;
    return PyBytes_CheckExact(item) && same_bytes(value, PyBytes_AS_STRING(item), PyBytes_GET_SIZE(item));
}

static int same_xattrs(Module *module, const unsigned char *row, const unsigned char *value, PyObject *item)
{
    if (item == Py_None || *value != TEXT)
        return item == Py_None && *value == NOTHING;
    if (!PyDict_CheckExact(item))
        return 0;
    if (same_bytes(value, "{}", 2) && PyDict_GET_SIZE(item) == 0)
        return 1;
    PyObject *known = known_xattrs(module, row, value + 1);
    int equal = known == NULL ? 0 : PyObject_RichCompareBool(known, item, Py_EQ);
    Py_XDECREF(known);
    forgive();
    return equal == 1;
}

static int same(Module *module, const unsigned char *row, PyObject *state)
{
    const unsigned char *value = values_of(row), *end = row + length_at(row);
    for (int field = TYPE; field < FIELDS; field++, value = skip_value(value, end)) {
        PyObject *item = PyTuple_GET_ITEM(state, field);
        int equal = field == TYPE ? same_type(value, item)
            : field == DIGEST ? same_digest(value, item)
            : field == TARGET ? same_target(value, item)
            : field == XATTRS ? same_xattrs(module, row, value, item)
            : field == PROBLEM ? item == Py_None && *value == NOTHING
            : same_number(value, item);
        if (!equal)
            return 0;
    }
    return 1;
}

/* ---- the type ---- */

static int is_path(PyObject *path)
{
    if (PyBytes_CheckExact(path))
        return 1;
    PyErr_SetString(PyExc_TypeError, "a path is bytes");
    return 0;
}

PyDoc_STRVAR(spans_doc, "spans(path, /)\n--\n\nTell whether the piece would have the row of a path.");

static PyObject *piece_spans(Piece *self, PyObject *path)
{
    return is_path(path) ? PyBool_FromLong(spans(self, path)) : NULL;
}

PyDoc_STRVAR(place_of_doc, "place_of(path, /)\n--\n\nGive the place of a path's row among all rows; None where it has none.");

static PyObject *piece_place_of(Piece *self, PyObject *path)
{
    if (!is_path(path))
        return NULL;
    Py_ssize_t number = find(self, path);
    return number < 0 ? Py_NewRef(Py_None) : PyLong_FromSsize_t(self->place + number);
}

PyDoc_STRVAR(state_of_doc, "state_of(path, /)\n--\n\nGive the state of a path; None where it has no row.");

static PyObject *piece_state_of(Piece *self, PyObject *path)
{
    if (!is_path(path))
        return NULL;
    Py_ssize_t number = find(self, path);
    return number < 0 ? Py_NewRef(Py_None) : state_of(self->module, self->rows[number], path);
}

PyDoc_STRVAR(state_at_doc, "state_at(place, /)\n--\n\nGive the state at a place among all rows.");

static PyObject *piece_state_at(Piece *self, PyObject *place)
{
    Py_ssize_t number = PyNumber_AsSsize_t(place, PyExc_IndexError);
    if (number == -1 && PyErr_Occurred())
        return NULL;
    if (number < self->place || number - self->place >= self->count) {
        PyErr_SetString(PyExc_IndexError, "no row of this piece is at that place");
        return NULL;
    }
    return state_of(self->module, self->rows[number - self->place], NULL);
}

PyDoc_STRVAR(paths_doc, "paths()\n--\n\nGive the paths, sorted.");

static PyObject *piece_paths(Piece *self, PyObject *Py_UNUSED(none))
{
    PyObject *paths = PyList_New(self->count);
    for (Py_ssize_t number = 0; paths != NULL && number < self->count; number++) {
        PyObject *path = path_object(self->rows[number]);
        if (path == NULL)
            Py_CLEAR(paths);
        else
            PyList_SET_ITEM(paths, number, path);
    }
    return paths;
}

PyDoc_STRVAR(states_doc, "states()\n--\n\nGive the states, sorted by path.");

static PyObject *piece_states(Piece *self, PyObject *Py_UNUSED(none))
{
    PyObject *states = PyList_New(0);
    for (Py_ssize_t number = 0; states != NULL && number < self->count; number++) {
        PyObject *state = state_of(self->module, self->rows[number], NULL);
        if (state == NULL || PyList_Append(states, state) < 0)
            Py_CLEAR(states);
        Py_XDECREF(state);
    }
    return states;
}

/* Tell of one state: 1 where its place was marked, 0 where it is the caller's, 2 where it belongs to another piece, -1 for an error. */
static int mark(Piece *self, PyObject *state, PyObject *marks)
{
    if (!PyTuple_Check(state) || PyTuple_GET_SIZE(state) != FIELDS || !PyBytes_CheckExact(PyTuple_GET_ITEM(state, PATH))) {
        PyErr_SetString(PyExc_TypeError, "a state is a tuple that begins with a path");
        return -1;
    }
    Py_ssize_t number = find(self, PyTuple_GET_ITEM(state, PATH));
    if (number < 0)
        return spans(self, PyTuple_GET_ITEM(state, PATH)) ? 0 : 2;
    if (!same(self->module, self->rows[number], state))
        return PyErr_Occurred() ? -1 : 0;
    Py_ssize_t place = self->place + number;
    if (place >= PyByteArray_GET_SIZE(marks)) {
        PyErr_SetString(PyExc_IndexError, "a row's place is beyond the marks");
        return -1;
    }
    PyByteArray_AS_STRING(marks)[place] = 1;
    return 1;
}

PyDoc_STRVAR(mark_same_doc,
             "mark_same(states, marks, others, /)\n--\n\n"
             "Mark the places of rows that say of their path what a state says, and put what is not surely the same into others;\n"
             "give the states whose rows are in other pieces.");

static PyObject *piece_mark_same(Piece *self, PyObject *arguments)
{
    PyObject *given, *marks, *others;
    if (!PyArg_ParseTuple(arguments, "OO!O!", &given, &PyByteArray_Type, &marks, &PyList_Type, &others))
        return NULL;
    PyObject *states = PySequence_Tuple(given), *beyond = states == NULL ? NULL : PyList_New(0);
    for (Py_ssize_t number = 0; beyond != NULL && number < PyTuple_GET_SIZE(states); number++) {
        PyObject *state = PyTuple_GET_ITEM(states, number);
        int told = mark(self, state, marks);
        if (told < 0 || (told != 1 && PyList_Append(told ? beyond : others, state) < 0))
            Py_CLEAR(beyond);
    }
    Py_XDECREF(states);
    return beyond;
}

static Py_ssize_t piece_length(Piece *self)
{
    return self->count;
}

/* Learn where the rows begin; their paths must ascend, which finding them counts on. */
static int find_rows(Piece *self)
{
    const unsigned char *start = (const unsigned char *)PyBytes_AS_STRING(self->packed), *end = start + PyBytes_GET_SIZE(self->packed);
    const unsigned char *row, *next, *last = NULL;
    for (row = start; row < end; row = next, self->count++)
        if ((next = skip_row(row, end)) == NULL) {
            PyErr_SetString(PyExc_ValueError, "no rows that fimkit packed");
            return 0;
        }
    self->rows = PyMem_New(const unsigned char *, self->count ? self->count : 1);
    if (self->rows == NULL) {
        PyErr_NoMemory();
        return 0;
    }
    self->count = 0;
    for (row = start; row < end; last = row, row += length_at(row)) {
        Py_ssize_t length;
        const char *path = path_of(row, &length);
        if (last != NULL && compare_row(last, path, length) >= 0) {
            PyErr_SetString(PyExc_ValueError, "the paths do not ascend");
            return 0;
        }
        self->rows[self->count++] = row;
    }
    return 1;
}

static PyObject *piece_new(PyTypeObject *type, PyObject *arguments, PyObject *keywords)
{
    PyObject *packed, *start, *end;
    Py_ssize_t place;
    static char *names[] = {"packed", "place", "start", "end", NULL};
    if (!PyArg_ParseTupleAndKeywords(arguments, keywords, "O!$nO!O", names, &PyBytes_Type, &packed, &place, &PyBytes_Type, &start, &end))
        return NULL;
    if (place < 0 || (end != Py_None && !PyBytes_CheckExact(end))) {
        PyErr_SetString(PyExc_TypeError, "a place is not below 0, and an end is bytes or None");
        return NULL;
    }
    PyObject *owner = PyType_GetModule(type);
    Piece *self = owner == NULL ? NULL : (Piece *)type->tp_alloc(type, 0); /* all zero */
    if (self == NULL)
        return NULL;
    self->owner = Py_NewRef(owner);
    self->module = PyModule_GetState(owner);
    self->packed = Py_NewRef(packed);
    self->start = Py_NewRef(start);
    self->end = Py_NewRef(end);
    self->place = place;
    if (!find_rows(self))
        Py_CLEAR(self);
    return (PyObject *)self;
}

static void piece_dealloc(Piece *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyMem_Free(self->rows);
    Py_XDECREF(self->packed);
    Py_XDECREF(self->start);
    Py_XDECREF(self->end);
    Py_XDECREF(self->owner);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyMethodDef piece_methods[] = {
    {"mark_same", (PyCFunction)piece_mark_same, METH_VARARGS, mark_same_doc},
    {"paths", (PyCFunction)piece_paths, METH_NOARGS, paths_doc},
    {"place_of", (PyCFunction)piece_place_of, METH_O, place_of_doc},
    {"spans", (PyCFunction)piece_spans, METH_O, spans_doc},
    {"state_at", (PyCFunction)piece_state_at, METH_O, state_at_doc},
    {"state_of", (PyCFunction)piece_state_of, METH_O, state_of_doc},
    {"states", (PyCFunction)piece_states, METH_NOARGS, states_doc},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot piece_slots[] = {
    {Py_tp_doc, "Rows of the baseline, one behind the other as SQLite packed them."},
    {Py_tp_new, piece_new},
    {Py_tp_dealloc, piece_dealloc},
    {Py_tp_methods, piece_methods},
    {Py_sq_length, piece_length},
    {0, NULL},
};

static PyType_Spec piece_spec = {"fimkit.evidence._rows.PackedPiece", sizeof(Piece), 0, Py_TPFLAGS_DEFAULT, piece_slots};

/* ---- the module ---- */

static PyObject *import_from(const char *module, const char *name)
{
    PyObject *imported = PyImport_ImportModule(module);
    PyObject *found = imported == NULL ? NULL : PyObject_GetAttrString(imported, name);
    Py_XDECREF(imported);
    return found;
}

static int is_state_type(PyObject *type)
{
    if (PyType_Check(type) && PyType_IsSubtype((PyTypeObject *)type, &PyTuple_Type)
        && ((PyTypeObject *)type)->tp_basicsize == PyTuple_Type.tp_basicsize
        && ((PyTypeObject *)type)->tp_itemsize == PyTuple_Type.tp_itemsize)
        return 1;
    PyErr_SetString(PyExc_ImportError, "expected a named tuple's type, without further attributes");
    return 0;
}

/* Learn the kinds of files by their text: each is a text, and equal to it. */
static int learn_types(Module *module)
{
    PyObject *types = import_from("fimkit.model.states", "FileType"), *kinds = types == NULL ? NULL : PySequence_List(types);
    int good = kinds != NULL && (module->types = PyDict_New()) != NULL;
    for (Py_ssize_t place = 0; good && place < PyList_GET_SIZE(kinds); place++)
        good = PyDict_SetItem(module->types, PyList_GET_ITEM(kinds, place), PyList_GET_ITEM(kinds, place)) == 0;
    Py_XDECREF(types);
    Py_XDECREF(kinds);
    return good;
}

static int exec_module(PyObject *object)
{
    Module *module = PyModule_GetState(object);
    PyObject *state = import_from("fimkit.model.states", "FileState");
    if (state == NULL || !is_state_type(state)) {
        Py_XDECREF(state);
        return -1;
    }
    module->state = (PyTypeObject *)state;
    if ((module->decode = import_from("fimkit.evidence.values", "decode_state")) == NULL || !learn_types(module)
        || (module->xattrs = PyDict_New()) == NULL)
        return -1;
    module->piece = (PyTypeObject *)PyType_FromModuleAndSpec(object, &piece_spec, NULL);
    if (module->piece == NULL || PyModule_AddObjectRef(object, "PackedPiece", (PyObject *)module->piece) < 0)
        return -1;
    return PyModule_AddIntMacro(object, REVISION);
}

static int traverse_module(PyObject *object, visitproc visit, void *arg)
{
    Module *module = PyModule_GetState(object);
    Py_VISIT(module->piece);
    Py_VISIT(module->state);
    Py_VISIT(module->types);
    Py_VISIT(module->decode);
    Py_VISIT(module->xattrs);
    return 0;
}

static int clear_module(PyObject *object)
{
    Module *module = PyModule_GetState(object);
    Py_CLEAR(module->piece);
    Py_CLEAR(module->state);
    Py_CLEAR(module->types);
    Py_CLEAR(module->decode);
    Py_CLEAR(module->xattrs);
    return 0;
}

static void free_module(void *object)
{
    clear_module(object);
}

static PyModuleDef_Slot module_slots[] = {
    {Py_mod_exec, exec_module},
    {0, NULL},
};

static struct PyModuleDef module_definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "fimkit.evidence._rows",
    .m_doc = "Pieces of the baseline as bytes, and what of a scan is as they say; without it the Python way finds the same.",
    .m_size = sizeof(Module),
    .m_slots = module_slots,
    .m_traverse = traverse_module,
    .m_clear = clear_module,
    .m_free = free_module,
};

PyMODINIT_FUNC PyInit__rows(void)
{
    return PyModuleDef_Init(&module_definition);
}
