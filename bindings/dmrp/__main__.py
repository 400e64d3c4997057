"""python -m dmrp: a shell with a guest, or with any server, at hand."""
import argparse
import code
import contextlib
import sys

import dmrp


def main():
    parser = argparse.ArgumentParser(
        prog="python -m dmrp",
        description="Starts a guest (or reaches the server of a target file), connects, and opens a Python shell with "
                    "the names dmrp, guest and session; with -c, runs statements instead and ends.")
    parser.add_argument("--disk", action="append", default=[], metavar="SPEC",
                        help="attach a disk: size=64M,bus=virtio-scsi,sector=512,label=mbr (may be repeated)")
    parser.add_argument("--target", metavar="FILE", help="target file of another server")
    parser.add_argument("--role", default="administrator", help="account to log on with (default: administrator)")
    parser.add_argument("-c", dest="statements", action="append", default=[], metavar="STATEMENT",
                        help="run this instead of a shell (may be repeated; in order)")
    options = parser.parse_args()
    try:
        with contextlib.ExitStack() as stack:
            guest = stack.enter_context(dmrp.Guest(options.disk, target=options.target))
            session = stack.enter_context(guest.connect(role=options.role))
            names = {"dmrp": dmrp, "guest": guest, "session": session, **vars(dmrp)}
            for statement in options.statements:
                exec(compile(statement, "<-c>", "single"), names)
            if not options.statements:
                code.interact(banner="session: the connected server; guest: its machine; help(dmrp) tells more",
                              local=names, exitmsg="")
    except (dmrp.Error, dmrp.Failure) as error:
        print(f"python -m dmrp: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
