/* SPDX-License-Identifier: MIT */
/* module.c - isthmus._native: its types, the configuration, and how each Python is told what it may rely on. */
#include "set.h"

#include <errno.h>
#include <string.h>

/* ---- arguments ----------------------------------------------------------------------------------------------------------- */

static int slot_of(const char *const *keywords, int n, PyObject *name)
{
    for (int i = 0; i < n; i++)
        if (keywords[i][0] && PyUnicode_CompareWithASCIIString(name, keywords[i]) == 0)
            return i;
    return -1;
}

int ist_arguments(const char *function, const char *const *keywords, int n, int required, PyObject *const *args,
                  Py_ssize_t nargs, PyObject *names, PyObject **slots)
{
    const Py_ssize_t named = names ? PyTuple_Size(names) : 0;
    if (nargs > n) {
        PyErr_Format(PyExc_TypeError, "%s() takes at most %d arguments (%zd given)", function, n, nargs);
        return -1;
    }
    for (Py_ssize_t i = 0; i < nargs; i++)
        slots[i] = args[i];
    for (Py_ssize_t i = 0; i < named; i++) {
        PyObject *name = PyTuple_GetItem(names, i);
        const int slot = slot_of(keywords, n, name);
        if (slot < 0) {
            PyErr_Format(PyExc_TypeError, "%s() got an unexpected keyword argument '%U'", function, name);
            return -1;
        }
        if (slots[slot]) {
            PyErr_Format(PyExc_TypeError, "%s() got multiple values for argument '%U'", function, name);
            return -1;
        }
        slots[slot] = args[nargs + i];
    }
    for (int i = 0; i < required; i++)
        if (!slots[i]) {
            PyErr_Format(PyExc_TypeError, "%s() misses positional argument %d", function, i + 1);
            return -1;
        }
    return 0;
}

/* ---- verdicts ------------------------------------------------------------------------------------------------------------- */

const char *ist_text_of(enum ist_verdict v)
{
    static const char *const text[IST_VERDICT_COUNT] = {
#define IST_X(name, text) text,
        IST_VERDICTS(IST_X)
#undef IST_X
    };
    return v < IST_VERDICT_COUNT ? text[v] : "?";
}

/* ---- configuration --------------------------------------------------------------------------------------------------------- */

static int read_member(struct module_state *state, PyObject *object, const char *name, uint64_t limit, uint64_t *value)
{
    PyObject *member = PyObject_GetAttrString(object, name);
    if (!member)
        return -1;
    PyObject *index = PyNumber_Index(member);
    Py_DECREF(member);
    if (!index)
        return -1;
    *value = PyLong_AsUnsignedLongLong(index);
    Py_DECREF(index);
    if (!PyErr_Occurred() && *value <= limit)
        return 0;
    PyErr_Clear();
    PyErr_Format(state->config_error, "%s is not between 0 and 2**%d - 1", name, limit == UINT64_MAX ? 64 : 32);
    return -1;
}

static int read_u32(struct module_state *state, PyObject *object, const char *name, uint32_t *value)
{
    uint64_t wide;
    if (read_member(state, object, name, UINT32_MAX, &wide) < 0)
        return -1;
    *value = (uint32_t)wide;
    return 0;
}

int ist_config_read(struct module_state *state, PyObject *object, unsigned role, struct ist_config *c)
{
    memset(c, 0, sizeof *c);
    c->role = role;
    if (read_u32(state, object, "ring_normal", &c->ring_bytes[IST_NORMAL]) < 0 ||
        read_u32(state, object, "ring_secure", &c->ring_bytes[IST_SECURE]) < 0 ||
        read_u32(state, object, "frame_max", &c->frame_max) < 0 || read_u32(state, object, "tag", &c->tag) < 0 ||
        read_u32(state, object, "first_cursor", &c->first_cursor) < 0 ||
        read_member(state, object, "first_sequence", UINT64_MAX, &c->first_sequence) < 0 ||
        read_u32(state, object, "mtu", &c->mtu) < 0 || read_u32(state, object, "features", &c->features) < 0 ||
        read_u32(state, object, "required", &c->required) < 0 ||
        read_member(state, object, "silence", UINT64_MAX, &c->silence) < 0 ||
        read_member(state, object, "budget_interval", UINT64_MAX, &c->budget_interval) < 0 ||
        read_member(state, object, "budget_tolerance", UINT64_MAX, &c->budget_tolerance) < 0)
        return -1;
    const enum ist_verdict v = ist_config_check(c);
    if (v == IST_V_OK)
        return 0;
    PyErr_Format(state->config_error, "%s (%s): ring_normal=%u ring_secure=%u frame_max=%u mtu=%u tag=%u", ist_text_of(v),
                 ist_verdict_name(v), c->ring_bytes[IST_NORMAL], c->ring_bytes[IST_SECURE], c->frame_max, c->mtu, c->tag);
    return -1;
}

static int parse_config(PyObject *module, PyObject *args, struct ist_config *c)
{
    PyObject *object;
    unsigned int role;
    if (!PyArg_ParseTuple(args, "OI", &object, &role))
        return -1;
    return ist_config_read(PyModule_GetState(module), object, role, c);
}

static PyObject *native_check(PyObject *module, PyObject *args)
{
    struct ist_config c;
    return parse_config(module, args, &c) < 0 ? NULL : Py_NewRef(Py_None);
}

static PyObject *native_digest(PyObject *module, PyObject *args)
{
    struct ist_config c;
    return parse_config(module, args, &c) < 0 ? NULL : PyLong_FromUnsignedLongLong(ist_config_digest(&c));
}

static PyObject *native_buffer_size(PyObject *module, PyObject *args)
{
    struct ist_config c;
    return parse_config(module, args, &c) < 0 ? NULL : PyLong_FromSize_t(ist_memfd_size(&c, c.role));
}

static PyObject *native_bell(PyObject *module, PyObject *unused)
{
    int fd[2];
    (void)module;
    (void)unused;
    const int error = ist_bell_pair(fd);
    if (error < 0) {
        errno = -error;
        return PyErr_SetFromErrno(PyExc_OSError);
    }
    return Py_BuildValue("ii", fd[0], fd[1]);
}

static PyObject *native_crc32c(PyObject *module, PyObject *object)
{
    Py_buffer view;
    (void)module;
    if (PyObject_GetBuffer(object, &view, PyBUF_SIMPLE) < 0)
        return NULL;
    const uint32_t crc = ist_crc32c(0, view.buf, (size_t)view.len);
    PyBuffer_Release(&view);
    return PyLong_FromUnsignedLong(crc);
}

/* ---- the module ---------------------------------------------------------------------------------------------------------------- */

static PyMethodDef native_functions[] = {
    {"check", native_check, METH_VARARGS,
     "check(config, role, /)\n--\n\nRaises ConfigError, with the verdict's name, for a configuration that cannot be."},
    {"digest", native_digest, METH_VARARGS, "digest(config, role, /)\n--\n\nFingerprint of the geometry, 64 bit."},
    {"buffer_size", native_buffer_size, METH_VARARGS,
     "buffer_size(config, role, /)\n--\n\nBytes of the buffer that `role` owns, in whole pages."},
    {"bell", native_bell, METH_NOARGS, "bell()\n--\n\nBoth ends of a new bell: two descriptors, the caller's to close."},
    {"crc32c", native_crc32c, METH_O, "crc32c(data, /)\n--\n\nCRC-32C of a buffer, as the tag computes it."},
    {NULL, NULL, 0, NULL},
};

static PyObject *verdict_table(void)
{
    PyObject *table = PyTuple_New(IST_VERDICT_COUNT);
    for (uint32_t v = 0; table && v < IST_VERDICT_COUNT; v++) {
        PyObject *row = Py_BuildValue("ss", ist_verdict_name(v), ist_text_of((enum ist_verdict)v));
        if (!row || PyTuple_SetItem(table, (Py_ssize_t)v, row) < 0)
            Py_CLEAR(table);
    }
    return table;
}

static int add(PyObject *module, const char *name, PyObject *value)
{
    const int failed = value ? PyModule_AddObjectRef(module, name, value) : -1;
    Py_XDECREF(value);
    return failed;
}

static int import_errors(struct module_state *s)
{
    PyObject *errors = PyImport_ImportModule("isthmus.errors");
    if (!errors)
        return -1;
    s->link_down = PyObject_GetAttrString(errors, "LinkDown");
    s->peer_dead = PyObject_GetAttrString(errors, "PeerDead");
    s->closed = PyObject_GetAttrString(errors, "ClosedError");
    s->concurrent_use = PyObject_GetAttrString(errors, "ConcurrentUseError");
    s->config_error = PyObject_GetAttrString(errors, "ConfigError");
    Py_DECREF(errors);
    return s->link_down && s->peer_dead && s->closed && s->concurrent_use && s->config_error ? 0 : -1;
}

static PyTypeObject *add_type(PyObject *module, PyType_Spec *spec)
{
    PyTypeObject *type = (PyTypeObject *)PyType_FromModuleAndSpec(module, spec, NULL);
    if (type && PyModule_AddType(module, type) < 0)
        Py_CLEAR(type);
    return type;
}

static int native_exec(PyObject *module)
{
    struct module_state *s = PyModule_GetState(module);
    if (import_errors(s) < 0)
        return -1;
    s->renew = PyUnicode_InternFromString("_renew");
    s->fence = ist_fence_register() == 0;
    s->buffer_type = add_type(module, &ist_buffer_spec);
    s->endpoint_type = add_type(module, &ist_endpoint_spec);
    s->reservation_type = add_type(module, &ist_reservation_spec);
    s->set_type = add_type(module, &ist_set_spec);
    if (!s->renew || !s->buffer_type || !s->endpoint_type || !s->reservation_type || !s->set_type)
        return -1;
    return add(module, "VERDICTS", verdict_table()) || add(module, "FENCE", PyBool_FromLong(s->fence)) ||
                   PyModule_AddIntConstant(module, "VERSION", (long)IST_VERSION) ||
                   PyModule_AddIntConstant(module, "FEATURE_SLEEPER_FENCE", (long)IST_FEATURE_SLEEPER_FENCE) ||
                   PyModule_AddIntConstant(module, "FEATURE_OFFLOAD", (long)IST_FEATURE_OFFLOAD)
               ? -1
               : 0;
}

static int native_traverse(PyObject *module, visitproc visit, void *arg)
{
    struct module_state *s = PyModule_GetState(module);
    Py_VISIT(s->buffer_type);
    Py_VISIT(s->endpoint_type);
    Py_VISIT(s->reservation_type);
    Py_VISIT(s->set_type);
    Py_VISIT(s->link_down);
    Py_VISIT(s->peer_dead);
    Py_VISIT(s->closed);
    Py_VISIT(s->concurrent_use);
    Py_VISIT(s->config_error);
    return 0;
}

static int native_clear(PyObject *module)
{
    struct module_state *s = PyModule_GetState(module);
    Py_CLEAR(s->buffer_type);
    Py_CLEAR(s->endpoint_type);
    Py_CLEAR(s->reservation_type);
    Py_CLEAR(s->set_type);
    Py_CLEAR(s->link_down);
    Py_CLEAR(s->peer_dead);
    Py_CLEAR(s->closed);
    Py_CLEAR(s->concurrent_use);
    Py_CLEAR(s->config_error);
    Py_CLEAR(s->renew);
    return 0;
}

static void native_free(void *module)
{
    (void)native_clear((PyObject *)module);
}

/* One binary for 3.11 and everything after it: a Python refuses slots that it does not know, so each gets its own list.
 * The numbers are those of CPython's moduleobject.h; the headers of 3.11 do not have them. */
#define SLOT_INTERPRETERS 3                 /* Py_mod_multiple_interpreters, since 3.12 */
#define PER_INTERPRETER_GIL ((void *)2)     /* Py_MOD_PER_INTERPRETER_GIL_SUPPORTED */
#define SLOT_GIL 4                          /* Py_mod_gil, since 3.13 */
#define GIL_NOT_USED ((void *)1)            /* Py_MOD_GIL_NOT_USED */

static PyModuleDef_Slot slots_311[] = {{Py_mod_exec, (void *)native_exec}, {0, NULL}};
static PyModuleDef_Slot slots_312[] = {
    {Py_mod_exec, (void *)native_exec}, {SLOT_INTERPRETERS, PER_INTERPRETER_GIL}, {0, NULL}};
static PyModuleDef_Slot slots_313[] = {{Py_mod_exec, (void *)native_exec},
                                       {SLOT_INTERPRETERS, PER_INTERPRETER_GIL},
                                       {SLOT_GIL, GIL_NOT_USED},
                                       {0, NULL}};

#define DEFINITION(slots)                                                                                              \
    {                                                                                                                  \
        PyModuleDef_HEAD_INIT, "isthmus._native", "The endpoint of a channel, over the C core.",                       \
            sizeof(struct module_state), native_functions, (slots), native_traverse, native_clear, native_free         \
    }

static PyModuleDef definitions[] = {DEFINITION(slots_311), DEFINITION(slots_312), DEFINITION(slots_313)};

int ist_is_our_module(PyObject *module)
{
    const PyModuleDef *def = PyModule_GetDef(module);
    return def >= definitions && def < definitions + sizeof definitions / sizeof *definitions;
}

PyMODINIT_FUNC PyInit__native(void)
{
    const int i = Py_Version >= 0x030d0000 ? 2 : Py_Version >= 0x030c0000 ? 1 : 0;
    return PyModuleDef_Init(&definitions[i]);
}
