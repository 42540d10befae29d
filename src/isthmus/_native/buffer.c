/* SPDX-License-Identifier: MIT */
/* buffer.c - Buffer: the memory that one world writes and the other reads.
 *
 * Made privately (memory link), as a sealed memfd (ours, to hand over), mapped from a descriptor that came from
 * outside (a peer's: size and seals checked first, read-only), or a window on the memory of a machine that we run. The
 * mapping lives as long as anything refers to it. */
#include "native.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

static PyObject *buffer_alloc(PyTypeObject *type, void *map, size_t size, int fd, int writable)
{
    allocfunc alloc = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    Buffer *b = (Buffer *)alloc(type, 0);
    if (!b) {
        munmap(map, size);
        if (fd >= 0)
            close(fd);
        return NULL;
    }
    b->map = map;
    b->size = size;
    b->fd = fd;
    b->writable = writable;
    b->owner = getpid();
    return (PyObject *)b;
}

static int size_of(PyObject *argument, size_t *size)
{
    *size = PyLong_AsSize_t(argument);
    if (*size == (size_t)-1 && PyErr_Occurred())
        return -1;
    if (*size == 0 || *size > (size_t)1 << 32) {
        PyErr_SetString(PyExc_ValueError, "size is not between 1 byte and 4 GiB");
        return -1;
    }
    return 0;
}

static PyObject *buffer_private(PyObject *type, PyObject *argument)
{
    size_t size;
    if (size_of(argument, &size) < 0)
        return NULL;
    void *map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (map == MAP_FAILED)
        return PyErr_SetFromErrno(PyExc_OSError);
    return buffer_alloc((PyTypeObject *)type, map, size, -1, 1);
}

static PyObject *buffer_sealed(PyObject *type, PyObject *argument)
{
    size_t size;
    void *map;
    if (size_of(argument, &size) < 0)
        return NULL;
    int fd = ist_memfd_make("isthmus", size, &map);
    if (fd < 0) {
        errno = -fd;
        return PyErr_SetFromErrno(PyExc_OSError);
    }
    return buffer_alloc((PyTypeObject *)type, map, size, fd, 1);
}

static PyObject *buffer_foreign(PyObject *type, PyObject *args)
{
    int fd;
    Py_ssize_t size;
    const void *map;
    const char *why = "cannot be mapped";
    if (!PyArg_ParseTuple(args, "in:foreign", &fd, &size))
        return NULL;
    if (size <= 0) {
        PyErr_SetString(PyExc_ValueError, "size is not positive");
        return NULL;
    }
    int error = ist_memfd_map(fd, (size_t)size, &map, &why);
    if (error < 0) {
        PyObject *value = Py_BuildValue("is", -error, why);
        if (value) {
            PyErr_SetObject(PyExc_OSError, value);
            Py_DECREF(value);
        }
        return NULL;
    }
    /* The descriptor stays the caller's: a mapping is all that is needed. */
    return buffer_alloc((PyTypeObject *)type, (void *)(uintptr_t)map, (size_t)size, -1, 0);
}

static PyObject *buffer_window(PyObject *type, PyObject *args)
{
    int fd, writable;
    long long offset;
    Py_ssize_t size;
    if (!PyArg_ParseTuple(args, "iLnp:window", &fd, &offset, &size, &writable))
        return NULL;
    if (size <= 0) {
        PyErr_SetString(PyExc_ValueError, "size is not positive");
        return NULL;
    }
    void *map = mmap(NULL, (size_t)size, PROT_READ | (writable ? PROT_WRITE : 0), MAP_SHARED, fd, (off_t)offset);
    if (map == MAP_FAILED)
        return PyErr_SetFromErrno(PyExc_OSError);
    return buffer_alloc((PyTypeObject *)type, map, (size_t)size, -1, writable);
}

static void buffer_dealloc(Buffer *b)
{
    PyTypeObject *type = Py_TYPE((PyObject *)b);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
    munmap(b->map, b->size);
    if (b->fd >= 0)
        close(b->fd);
    release(b);
    Py_DECREF(type);
}

static int buffer_export(Buffer *b, Py_buffer *view, int flags)
{
    return PyBuffer_FillInfo(view, (PyObject *)b, b->map, (Py_ssize_t)b->size, !b->writable, flags);
}

static PyObject *buffer_view(PyObject *self, void *unused)
{
    (void)unused;
    return PyMemoryView_FromObject(self);
}

static PyObject *buffer_fileno(PyObject *self, PyObject *unused)
{
    (void)unused;
    if (((Buffer *)self)->fd < 0) {
        PyErr_SetString(PyExc_ValueError, "this buffer has no descriptor to hand over");
        return NULL;
    }
    return PyLong_FromLong(((Buffer *)self)->fd);
}

static PyObject *buffer_get_size(PyObject *self, void *unused)
{
    (void)unused;
    return PyLong_FromSize_t(((Buffer *)self)->size);
}

static PyObject *buffer_get_writable(PyObject *self, void *unused)
{
    (void)unused;
    return PyBool_FromLong(((Buffer *)self)->writable);
}

static PyMethodDef buffer_methods[] = {
    {"private", buffer_private, METH_O | METH_CLASS,
     "private(size, /)\n--\n\nMemory of this process alone, for a memory link."},
    {"sealed", buffer_sealed, METH_O | METH_CLASS,
     "sealed(size, /)\n--\n\nA memfd of our own, mapped, then sealed against writing, shrinking and growing.\n\n"
     "`size` is a multiple of the page size. fileno() is the descriptor to hand over."},
    {"foreign", buffer_foreign, METH_VARARGS | METH_CLASS,
     "foreign(fd, size, /)\n--\n\nA peer's memfd, mapped read-only once its size and seals were checked.\n\n"
     "OSError says what is wrong with it. The descriptor stays the caller's to close."},
    {"window", buffer_window, METH_VARARGS | METH_CLASS,
     "window(fd, offset, size, writable, /)\n--\n\nA part of a machine's memory, which its owner keeps from shrinking.\n\n"
     "`offset` is a multiple of the page size. The descriptor stays the caller's to close."},
    {"fileno", buffer_fileno, METH_NOARGS, "fileno($self, /)\n--\n\nThe memfd; ValueError where there is none."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef buffer_properties[] = {
    {"size", buffer_get_size, NULL, "Bytes.", NULL},
    {"view", buffer_view, NULL, "A memoryview of it, read-only for a peer's.", NULL},
    {"writable", buffer_get_writable, NULL, "True for our own, False for a peer's.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot buffer_slots[] = {
    {Py_tp_doc, "Memory that one world writes and the other reads."},
    {Py_tp_dealloc, (void *)buffer_dealloc},
    {Py_tp_methods, buffer_methods},
    {Py_tp_getset, buffer_properties},
    {Py_bf_getbuffer, (void *)buffer_export},
    {0, NULL},
};

PyType_Spec ist_buffer_spec = {
    .name = "isthmus._native.Buffer",
    .basicsize = sizeof(Buffer),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = buffer_slots,
};
