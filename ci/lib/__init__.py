"""What ci/setup, ci/test and ci/certify are made of. Run with Debian's /usr/bin/python3."""
