"""Lets pip download a source archive whose build needs a Rust compiler, without building anything.

pip asks an archive's build backend for metadata before it keeps the file. For archives that we only unpack, this
backend answers with the name and version of the folder it is asked in.
"""

import os


def prepare_metadata_for_build_wheel(directory, config_settings=None):
    with open("PKG-INFO", encoding="utf-8") as text:
        head = text.read().split("\n\n", 1)[0] + "\n"
    fields = dict(line.split(": ", 1) for line in head.splitlines() if ": " in line)
    name = f"{fields['Name'].replace('-', '_')}-{fields['Version']}.dist-info"
    os.mkdir(os.path.join(directory, name))
    with open(os.path.join(directory, name, "METADATA"), "w", encoding="utf-8") as out:
        out.write(f"Metadata-Version: 2.1\nName: {fields['Name']}\nVersion: {fields['Version']}\n")
    return name
