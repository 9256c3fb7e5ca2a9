"""Bare Debian roots: a stock system in a folder, entered as an ordinary user without rights.

Needs root for chroot, and debootstrap. Every command runs in namespaces of its own, so that its
mounts and processes end with it, however it ends. The packages and settings that the machine's
pip is given (index, certificates, folders of wheels) hold in the root too; nothing else does.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

TOP = Path(__file__).resolve().parents[1]
MACHINES = {
    "debian11": "bullseye",
    "debian12": "bookworm",
    "debian13": "trixie",
    "debian14": "forky",  # not released: Debian's testing
}
PACKAGES = ("python3", "python3-venv", "make", "git")
SLIM = ("python3", "python3-venv")  # a machine's name with "-slim": only these, and no user
DEBIAN = "http://deb.debian.org/debian"
USER, UID = "someone", 1000
HOME = f"/home/{USER}"
CLONE = f"{HOME}/d2l_autorec"

# What tells an installer where packages come from and whom to trust.
SETTINGS = re.compile(
    r"(PIP|UV)_(DEFAULT_INDEX|INDEX|INDEX_URL|EXTRA_INDEX_URL|FIND_LINKS|NO_INDEX|CERT|CLIENT_CERT"
    r"|TRUSTED_HOST|INSECURE_HOST|PROXY|DEFAULT_TIMEOUT|HTTP_TIMEOUT|CONSTRAINT|NATIVE_TLS"
    r"|SYSTEM_CERTS)|SSL_CERT_(FILE|DIR)|(REQUESTS|CURL)_CA_BUNDLE|(https?|all|no)_proxy",
    re.IGNORECASE,
)
# Files with such settings: those of the system, and those of whoever runs this.
SYSTEM_FILES = ("etc/pip.conf", "etc/xdg/pip", "etc/uv")
USER_FILES = (".config/pip", ".pip", ".config/uv")
NETWORK_FILES = ("etc/ssl/certs", "etc/hosts", "etc/resolv.conf")

# The root, the user, the command; then what to show of this machine: from, to, how. The shell
# stays: it is process 1, dies with unshare, and takes all others along. With exec it would not,
# since a change of user clears the signal that a parent's death sends.
ENTER = """
root=$1 user=$2 command=$3; shift 3
mount -t proc proc "$root/proc"
mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts"
while [ $# -gt 0 ]; do
    mount --bind "$1" "$root$2"
    [ "$3" = rw ] || mount -o remount,bind,ro "$root$2"
    shift 3
done
chroot --userspec="$user" "$root" /bin/bash -c "$command" || exit $?
exit 0
"""


def cache() -> Path:
    """Return the folder kept between runs: D2L_AUTOREC_FRESH, else in the user's cache."""
    user = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = Path(os.environ.get("D2L_AUTOREC_FRESH") or user / "d2l_autorec_fresh")
    folder.mkdir(parents=True, exist_ok=True)
    return folder.resolve()


def mirror(apt: Path = Path("/etc/apt")) -> str:
    """Return the Debian mirror that this machine's apt is set up with, else Debian's own."""
    files = [apt / "sources.list", *sorted(apt.glob("sources.list.d/*"))]
    text = "\n".join(file.read_text(encoding="utf-8") for file in files if file.is_file())
    found = re.search(r"^(?:deb|URIs:)\s[^#\n]*?(\S+://\S+/debian)/?(?:\s|$)", text, re.MULTILINE)
    return found[1] if found else DEBIAN


def require_root() -> None:
    """End with one sentence where bare roots cannot be made."""
    if sys.platform != "linux" or os.geteuid() != 0:
        sys.exit("Bare roots need chroot and mounts: run this as root on Linux, e.g. with sudo.")
    if shutil.which("debootstrap") is None:
        sys.exit("debootstrap is missing: apt-get install debootstrap")


def settings() -> dict[str, str]:
    """Return the environment variables that say where packages come from."""
    return {name: value for name, value in os.environ.items() if SETTINGS.fullmatch(name)}


def package_folders(files: list[Path]) -> list[Path]:
    """Return the folders on this machine that its package settings name."""
    parts = [part for file in files for part in ([file] if file.is_file() else file.rglob("*"))]
    texts = [
        part.read_text(encoding="utf-8", errors="replace") for part in parts if part.is_file()
    ]
    text = "\n".join([*texts, *settings().values()])
    found = {Path(path) for path in re.findall(r"(?:file://)?(/[^\s,'\"]+)", text)}
    # an index's folder "simple" points to files beside it
    found = {path.parent if path.name == "simple" else path for path in found}
    return sorted(path for path in found if path.is_dir() and path.parts[1] != "etc")


class Root:
    """One bare root.

    Parameters
    ----------
    folder : Path
        Where it lies.
    downloads : Path or None
        Folder that keeps what pip and uv download from one root to the next; None keeps nothing.
    """

    def __init__(self, folder: Path, downloads: Path | None = None):
        self.folder = folder
        self.shown: list[str] = []
        (folder / HOME[1:]).mkdir(exist_ok=True)
        files = [(Path("/", name), f"/{name}") for name in SYSTEM_FILES]
        for home in (HOME, "/root"):
            files += [(Path.home() / name, f"{home}/{name}") for name in USER_FILES]
        packages = package_folders([source for source, _ in files])
        files += [(Path("/", name), f"/{name}") for name in NETWORK_FILES]
        for source, target in [*files, *((path, str(path)) for path in packages)]:
            if source.exists():
                self._show(source, target, "ro")
        for name in ("pip", "uv") if downloads else ():
            (downloads / name).mkdir(parents=True, exist_ok=True)
            os.chown(downloads / name, UID, UID)
            self._show(downloads / name, f"{HOME}/.cache/{name}", "rw")
        self.own(HOME)

    def _show(self, source: Path, target: str, how: str) -> None:
        place = self.folder / target[1:]
        (place if source.is_dir() else place.parent).mkdir(parents=True, exist_ok=True)
        if not source.is_dir():
            place.touch()
        self.shown += [str(source), target, how]

    def own(self, path: str) -> None:
        """Give a folder of the root to its user."""
        subprocess.run(["chown", "-R", f"{UID}:{UID}", self.folder / path[1:]], check=True)

    def clone(self) -> None:
        """Put a clean clone of HEAD into the user's home."""
        target = self.folder / CLONE[1:]
        subprocess.run(["git", "clone", "--quiet", "--no-hardlinks", TOP, target], check=True)
        self.own(CLONE)

    def run(
        self,
        command: str,
        *,
        folder: str = HOME,
        user: str = f"{UID}:{UID}",
        env: dict[str, str] | None = None,
        log: Path | None = None,
        limit: float = 7200,
    ) -> subprocess.CompletedProcess[str]:
        """Run a bash command line in the root; its output goes to a log, else it is returned."""
        admin = user == "0:0"
        path = "/usr/local/bin:/usr/bin:/bin" + ":/usr/local/sbin:/usr/sbin:/sbin" * admin
        known = {"HOME": "/root" if admin else HOME, "PATH": os.environ["PATH"]}
        line = f"export PATH={path}; cd {folder} && {{ {command}\n}}"
        enter = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "/bin/sh", "-euc", ENTER]
        with contextlib.ExitStack() as stack:
            out = stack.enter_context(log.open("w", encoding="utf-8")) if log else subprocess.PIPE
            return subprocess.run(
                [*enter, "sh", self.folder, user, line, *self.shown],
                env={**settings(), **known, **(env or {})},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=limit,
                check=False,
            )


def _tarball(machine: str) -> Path:
    """Return a packed root of a machine, made when it is not there."""
    packed = cache() / f"{machine}.tar.gz"
    if packed.exists():
        return packed
    print(f"{machine}: debootstrap from {mirror()}", file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory(dir=cache(), prefix="making-") as name:
        folder = Path(name, "root")
        suite = MACHINES[machine.removesuffix("-slim")]
        packages = SLIM if machine.endswith("-slim") else PACKAGES
        make = ["debootstrap", "--variant=minbase", f"--include={','.join(packages)}"]
        make += [suite, str(folder), mirror()]
        scripts = Path("/usr/share/debootstrap/scripts")
        if not (scripts / suite).exists():
            make.append(str(scripts / "sid"))
        made = subprocess.run(make, capture_output=True, text=True, check=False)
        if made.returncode:
            sys.exit(f"debootstrap of {suite} failed:\n{made.stdout[-2000:]}")
        if packages != SLIM:
            add = ["useradd", "--create-home", "--uid", str(UID), "--shell", "/bin/bash", USER]
            subprocess.run(["chroot", folder, *add], check=True)
        subprocess.run(["chroot", folder, "apt-get", "clean"], check=True)
        shutil.rmtree(folder / "var/lib/apt/lists")
        fresh = Path(name, "packed")
        subprocess.run(["tar", "-C", folder, "--numeric-owner", "-czf", fresh, "."], check=True)
        fresh.replace(packed)
    return packed


@contextlib.contextmanager
def bare_root(machine: str, downloads: Path | None = None) -> Iterator[Root]:
    """Unpack a bare root, and delete it at the end."""
    packed = _tarball(machine)
    with tempfile.TemporaryDirectory(dir=cache(), prefix=f"{machine}-") as name:
        os.chmod(name, 0o755)
        subprocess.run(["tar", "-C", name, "--numeric-owner", "-xzpf", packed], check=True)
        yield Root(Path(name), downloads)
