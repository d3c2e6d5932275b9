/* Finds which states of a scan are as rows of the baseline say: what fimkit.evidence.same_rows.mark_python does, compiled.
 *
 * Nothing is parsed here: two tuples of objects that the interpreter made are compared, and what is not surely the same is left to
 * the caller, who decodes the row. The two ways mark the same places (tested).
 */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <string.h>

#define REVISION 1 /* as fimkit.evidence.same_rows.REVISION: raised with every change here */

/* The columns of a row, as fimkit.evidence.values.STATE_COLUMNS has them, and so the fields of a state. */
enum { PATH, TYPE, MODE, DIGEST = 11, TARGET, XATTRS, PROBLEM, FIELDS };
enum { DIGEST_BYTES = 32 };

static const char DIGITS[] = "0123456789abcdef";

/* Tell whether a hash as 32 bytes and one as text are the same; what is of another shape is not surely so. */
static int same_digest(PyObject *raw, PyObject *text)
{
    if (raw == Py_None || text == Py_None)
        return raw == text;
    if (!PyBytes_CheckExact(raw) || PyBytes_GET_SIZE(raw) != DIGEST_BYTES)
        return 0;
    if (!PyUnicode_CheckExact(text) || !PyUnicode_IS_COMPACT_ASCII(text) || PyUnicode_GET_LENGTH(text) != 2 * DIGEST_BYTES)
        return 0;
    const unsigned char *bytes = (const unsigned char *)PyBytes_AS_STRING(raw);
    const char *letters = PyUnicode_DATA(text);
    for (int place = 0; place < DIGEST_BYTES; place++)
        if (letters[2 * place] != DIGITS[bytes[place] >> 4] || letters[2 * place + 1] != DIGITS[bytes[place] & 15])
            return 0;
    return 1;
}

/* Tell whether neither has extended attributes, which the row says by an empty object's text. */
static int no_xattrs(PyObject *text, PyObject *xattrs)
{
    return PyUnicode_CheckExact(text) && PyUnicode_CompareWithASCIIString(text, "{}") == 0 && PyDict_CheckExact(xattrs) &&
           PyDict_GET_SIZE(xattrs) == 0;
}

/* Give 1 where the two are surely the same, 0 where not, -1 for an error. */
static int same(PyObject *row, PyObject *state)
{
    if (PyTuple_GET_ITEM(row, PROBLEM) != Py_None || PyTuple_GET_ITEM(state, PROBLEM) != Py_None)
        return 0;
    if (!same_digest(PyTuple_GET_ITEM(row, DIGEST), PyTuple_GET_ITEM(state, DIGEST)))
        return 0;
    if (!no_xattrs(PyTuple_GET_ITEM(row, XATTRS), PyTuple_GET_ITEM(state, XATTRS)))
        return 0;
    for (int field = TYPE; field < FIELDS; field++) {
        if (field == DIGEST || field == XATTRS || field == PROBLEM)
            continue;
        int equal = PyObject_RichCompareBool(PyTuple_GET_ITEM(row, field), PyTuple_GET_ITEM(state, field), Py_EQ);
        if (equal != 1)
            return equal;
    }
    return 1;
}

/* Mark the place of a state's row where it is the same; 1 if it is, 0 if not, -1 for an error. */
static int mark(PyObject *state, PyObject *rows, PyObject *marks)
{
    if (!PyTuple_Check(state) || PyTuple_GET_SIZE(state) != FIELDS)
        return 0;
    PyObject *found = PyDict_GetItemWithError(rows, PyTuple_GET_ITEM(state, PATH));
    if (found == NULL)
        return PyErr_Occurred() ? -1 : 0;
    if (!PyTuple_CheckExact(found) || PyTuple_GET_SIZE(found) != 2)
        return 0;
    PyObject *row = PyTuple_GET_ITEM(found, 0);
    if (!PyTuple_CheckExact(row) || PyTuple_GET_SIZE(row) != FIELDS)
        return 0;
    Py_INCREF(found); /* a comparison may run what it likes */
    int equal = same(row, state);
    if (equal == 1) {
        Py_ssize_t place = PyNumber_AsSsize_t(PyTuple_GET_ITEM(found, 1), PyExc_IndexError);
        if (place == -1 && PyErr_Occurred()) {
            equal = -1;
        } else if (place < 0 || place >= PyByteArray_GET_SIZE(marks)) {
            PyErr_SetString(PyExc_IndexError, "a row's place is beyond the marks");
            equal = -1;
        } else {
            PyByteArray_AS_STRING(marks)[place] = 1;
        }
    }
    Py_DECREF(found);
    return equal;
}

PyDoc_STRVAR(mark_same_doc, "mark_same(states, rows, marks, /)\n--\n\n"
                            "Mark the places of rows that say of their path what a state says; give the other states.");

static PyObject *mark_same(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *given, *rows, *marks;
    if (!PyArg_ParseTuple(args, "OO!O!:mark_same", &given, &PyDict_Type, &rows, &PyByteArray_Type, &marks))
        return NULL;
    PyObject *states = PySequence_Tuple(given); /* of its own: nobody takes one out meanwhile */
    if (states == NULL)
        return NULL;
    PyObject *rest = PyList_New(0);
    for (Py_ssize_t place = 0; rest != NULL && place < PyTuple_GET_SIZE(states); place++) {
        PyObject *state = PyTuple_GET_ITEM(states, place);
        int marked = mark(state, rows, marks);
        if (marked < 0 || (marked == 0 && PyList_Append(rest, state) < 0))
            Py_CLEAR(rest);
    }
    Py_DECREF(states);
    return rest;
}

static PyMethodDef methods[] = {
    {"mark_same", mark_same, METH_VARARGS, mark_same_doc},
    {NULL, NULL, 0, NULL},
};

static int exec_module(PyObject *module)
{
    return PyModule_AddIntMacro(module, REVISION);
}

static PyModuleDef_Slot module_slots[] = {
    {Py_mod_exec, exec_module},
    {0, NULL},
};

static struct PyModuleDef module_definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "fimkit.evidence._rows",
    .m_doc = "Finds which states are as rows say, compiled; without it the Python way marks the same.",
    .m_methods = methods,
    .m_slots = module_slots,
};

PyMODINIT_FUNC PyInit__rows(void)
{
    return PyModuleDef_Init(&module_definition);
}
