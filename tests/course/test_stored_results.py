"""What the lessons read of results/ goes into the wheel."""

import configparser
import re
from pathlib import Path

TOP = Path(__file__).parents[2]


def test_the_wheel_has_the_tables_that_the_lessons_read():
    config = configparser.ConfigParser()
    config.read(TOP / "setup.cfg", encoding="utf-8")
    packed = {
        name: target
        for target, names in config["options.data_files"].items()
        for name in names.split()
    }
    read = {
        f"results/{name}"
        for text in (TOP / "notebooks").glob("[0-9][0-9]-*.py")
        for name in re.findall(r'stored\("(.+?)"\)', text.read_text(encoding="utf-8"))
    }
    assert read == set(packed) and len(read) >= 5
    for name, target in packed.items():
        assert (TOP / name).is_file()
        assert target == f"share/d2l_autorec/{Path(name).parent.as_posix()}"
