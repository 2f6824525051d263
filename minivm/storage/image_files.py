"""Opening the files that images are in."""

import errno
import os
import stat

from minivm.errors import ImageError


def open_image_file(name: str, *, writes: bool = False) -> int:
    """Open a regular file or a block device and return its descriptor; raises `ImageError` in one line.

    A block device that the host itself uses, because it is mounted for example, is not opened for writing.
    """
    flags = (os.O_RDWR if writes else os.O_RDONLY) | os.O_CLOEXEC | os.O_NONBLOCK  # a pipe must not block us here
    try:
        if writes and stat.S_ISBLK(os.stat(name).st_mode):  # noqa: PTH116 - follows links, as open does
            flags |= os.O_EXCL  # without O_CREAT, this asks Linux for a device that nobody else uses (open(2))
        descriptor = os.open(name, flags)
    except (OSError, ValueError) as error:
        shown = name if name.isprintable() else repr(name)
        raise ImageError(f"{shown}: {_why_not(error, writes)}") from error
    if stat.S_ISREG(mode := os.fstat(descriptor).st_mode) or stat.S_ISBLK(mode):
        return descriptor
    os.close(descriptor)
    raise ImageError(f"{name}: is {'a directory' if stat.S_ISDIR(mode) else 'not a regular file'}, not an image")


def _why_not(error: OSError | ValueError, writes: bool) -> str:
    if not isinstance(error, OSError):
        return "is not a file name"
    match error.errno:
        case errno.ENOENT | errno.ENOTDIR:
            return "there is no such file"
        case errno.EISDIR:
            return "is a directory, not an image"
        case errno.EACCES | errno.EPERM | errno.EROFS if writes:
            return "may not be written; attach it with ,ro or ,snapshot"
        case errno.EBUSY:
            return "is in use, mounted or by another machine; end that, or attach it with ,ro or ,snapshot"
        case errno.EACCES | errno.EPERM:
            return "may not be read; change its permissions"
    return f"cannot be opened: {error.strerror}"
