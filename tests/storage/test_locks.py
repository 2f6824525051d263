"""Who may hold an image together with whom: readers share it, a writer has it for itself."""

import fcntl
import os
import shutil
import subprocess
import sys
import time

import pytest

from minivm.errors import ImageError
from minivm.storage import locks
from minivm.storage.disk import open_disk

HOW = {"direct": {}, "ro": {"read_only": True}, "snapshot": {"snapshot": True}}
HOLD = """
import sys
from minivm.storage.disk import open_disk

disk = open_disk({path!r}, **{how!r})
print(flush=True)
sys.stdin.read()
"""


@pytest.fixture
def image(tmp_path):
    """A disk's image of 4 MiB."""
    path = tmp_path / "disk.img"
    path.write_bytes(bytes(4 << 20))
    return path


@pytest.fixture
def other_process():
    """Return `hold(path, how)`, which opens an image in another process, and gives its number."""
    running = []

    def hold(path, how):
        code = HOLD.format(path=str(path), how=HOW[how])
        process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        running.append(process)
        process.stdout.readline()
        return process.pid

    yield hold
    for process in running:
        process.communicate()


@pytest.mark.parametrize("first", HOW)
@pytest.mark.parametrize("second", HOW)
def test_readers_share_an_image_and_a_writer_shares_it_with_nobody(image, first, second):
    disk = open_disk(image, **HOW[first])
    if "direct" in (first, second):
        with pytest.raises(ImageError, match=r"another machine of this process is (writing to|reading) it"):
            open_disk(image, **HOW[second])
    else:
        open_disk(image, **HOW[second]).close()
    disk.close()
    open_disk(image).close()


@pytest.mark.parametrize("first", HOW)
@pytest.mark.parametrize("second", HOW)
def test_the_same_holds_between_processes_and_the_error_names_the_other_one(image, other_process, first, second):
    number = other_process(image, first)
    if "direct" not in (first, second):
        open_disk(image, **HOW[second]).close()
        return
    with pytest.raises(ImageError) as caught:
        open_disk(image, **HOW[second])
    deed, advice = (
        ("writing to", "first") if first == "direct" else ("reading", "or attach it here with ,ro or ,snapshot")
    )
    assert str(caught.value).startswith(f"{image}: process {number} is {deed} it; stop that one")
    assert str(caught.value).endswith(advice)


def test_a_reader_without_a_lock_reads_what_is_being_written(image):
    writer = open_disk(image)
    reader = open_disk(image, snapshot=True, unlocked=True)
    writer.write(3, b"x" * 512)
    assert reader.read(3, 1) == b"x" * 512
    with pytest.raises(ImageError, match="is writing to it"):
        open_disk(image, unlocked=True)
    writer.close()
    open_disk(image).close()  # a reader without a lock is in nobody's way
    reader.close()


def test_a_process_that_holds_another_image_is_not_blamed(image, tmp_path, other_process):
    (tmp_path / "other.img").write_bytes(bytes(1024))
    other_process(tmp_path / "other.img", "direct")
    number = other_process(image, "direct")
    with pytest.raises(ImageError, match=f"process {number} is writing"):
        open_disk(image)


def test_a_process_that_dies_gives_its_images_back(image):
    code = HOLD.format(path=str(image), how={})
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    process.stdout.readline()
    process.kill()
    process.communicate()
    open_disk(image).close()


def test_a_reader_in_the_way_does_not_stay_locked_out_by_being_asked(image):
    reader = open_disk(image, read_only=True)
    for _ in range(2):
        with pytest.raises(ImageError, match="is reading it"):
            open_disk(image)
    open_disk(image, read_only=True).close()
    reader.close()


def test_a_disk_that_did_not_open_holds_nothing(tmp_path):
    path = tmp_path / "empty.img"
    path.touch()
    with pytest.raises(ImageError, match="is empty"):
        open_disk(path)
    path.write_bytes(bytes(1024))
    open_disk(path).close()


def test_two_names_of_one_file_are_one_image(image, tmp_path):
    (tmp_path / "link").symlink_to(image)
    os.link(image, tmp_path / "hard")
    disk = open_disk(image)
    for name in ("link", "hard"):
        with pytest.raises(ImageError, match="is writing to it"):
            open_disk(tmp_path / name)
    disk.close()


def test_where_the_kernel_does_not_tell_the_holder_it_is_another_machine(image, tmp_path, monkeypatch):
    disk = open_disk(image)
    for place in (tmp_path / "none", image):
        monkeypatch.setattr(locks, "_LOCKS", place)
        with pytest.raises(ImageError, match="another machine is writing to it; stop that one first"):
            open_disk(image)
    disk.close()


@pytest.mark.parametrize("error", [37, 95, 22])  # ENOLCK, EOPNOTSUPP, EINVAL
def test_a_file_system_without_locks_is_no_reason_not_to_run(image, monkeypatch, error):
    def fail(*_):
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(fcntl, "flock", fail)
    monkeypatch.setattr(fcntl, "fcntl", fail)
    one, two = open_disk(image), open_disk(image)
    one.close()
    two.close()


def test_forks_share_their_parents_lock_until_the_last_is_closed(image):
    disk = open_disk(image)
    fork = disk.fork()
    disk.close()
    with pytest.raises(ImageError, match="is writing to it"):
        open_disk(image)
    fork.close()
    open_disk(image).close()


# -- QEMU ---------------------------------------------------------------------------------------------------------
@pytest.fixture
def qemu(image):
    """Return `start(options)`: a QEMU that stands still with the image; it is stopped afterwards."""
    program = shutil.which("qemu-system-i386")
    if program is None:
        pytest.skip("qemu-system-i386 is not installed")
    running = []

    def start(options=""):
        drive = f"file={image},format=raw,if=ide{options}"
        process = subprocess.Popen(
            [program, "-S", "-display", "none", "-monitor", "stdio", "-drive", drive],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        running.append(process)
        return process

    yield start
    for process in running:
        process.kill()
        process.communicate()


def wait_for_prompt(process):
    """Wait until QEMU answers, which it does when it has opened its drives."""
    process.stdin.write(b"info status\n")
    process.stdin.flush()
    assert any(b"paused" in line for line in process.stdout)


def test_an_image_that_qemu_writes_is_refused(image, qemu):
    wait_for_prompt(qemu())
    for how, words in (("direct", "in use"), ("ro", "written"), ("snapshot", "written")):
        with pytest.raises(ImageError, match=rf"disk.img: is {words} by another program, QEMU perhaps; stop that one"):
            open_disk(image, **HOW[how])


def test_an_image_that_qemu_reads_is_shared_with_readers_alone(image, qemu):
    wait_for_prompt(qemu(",snapshot=on"))
    open_disk(image, read_only=True).close()
    with pytest.raises(ImageError, match="in use by another program"):
        open_disk(image)


@pytest.mark.parametrize("how", HOW)
def test_qemu_does_not_write_an_image_that_we_hold(image, qemu, how):
    disk = open_disk(image, **HOW[how])
    process = qemu()
    deadline = time.monotonic() + 20
    while process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    assert b'Failed to get "write" lock' in process.communicate()[1]
    disk.close()


# -- block devices ------------------------------------------------------------------------------------------------
@pytest.fixture
def device(image):
    """A block device over the image; without the rights to make one the test skips."""
    program = shutil.which("losetup", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if program is None or os.geteuid() != 0:
        pytest.skip("losetup is not installed, or not for this user")
    made = subprocess.run([program, "-f", "--show", image], capture_output=True, text=True, check=False)
    if made.returncode:
        pytest.skip(f"no loop device: {made.stderr.strip()}")
    yield made.stdout.strip()
    subprocess.run([program, "-d", made.stdout.strip()], check=True)


def test_a_block_device_is_an_image_with_one_writer(device, image):
    writer = open_disk(device, medium="disk")
    assert writer.sectors == 8192
    for how, words in (("direct", "is in use, mounted or by another machine"), ("ro", "is writing to it")):
        with pytest.raises(ImageError, match=words):
            open_disk(device, **HOW[how])
    writer.write(8191, b"x" * 512)
    writer.close()
    assert image.read_bytes()[-512:] == b"x" * 512
    readers = [open_disk(device, **HOW[how]) for how in ("ro", "snapshot")]
    with pytest.raises(ImageError, match="is reading it"):
        open_disk(device)
    for reader in readers:
        reader.close()


def test_a_block_device_that_the_host_holds_is_only_read(device):
    holder = os.open(device, os.O_RDWR | os.O_EXCL)  # as a mount holds it
    with pytest.raises(ImageError, match=r"is in use, mounted or by another machine; .*,ro or ,snapshot"):
        open_disk(device)
    open_disk(device, snapshot=True).close()
    os.close(holder)
