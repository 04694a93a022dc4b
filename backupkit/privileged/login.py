# Licensed under the Apache License, Version 2.0 (the "License"); you may
# not use this file except in compliance with the License. You may obtain
# a copy of the License at
#
#      http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
# WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
# License for the specific language governing permissions and limitations
# under the License.

"""A program that mounts an SMB share by a name and a password.

It reads what to mount, as JSON, from its standard input, so that nothing of
it is on a command line, and hands the kernel each option by itself, so that
nothing in a password has a meaning. It imports only the standard library.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import socket
import sys

# From asm-generic/unistd.h: the same on all machines but Alpha.
_MOVE_MOUNT, _FSOPEN, _FSCONFIG, _FSMOUNT = 429, 430, 431, 432
# From linux/mount.h.
_CLOEXEC = 1
_SET_FLAG, _SET_STRING, _CREATE = 0, 1, 6
_FLAGS = {'nosuid': 2, 'nodev': 4, 'noexec': 8}
_FROM_DESCRIPTOR = 4
_AT_FDCWD = -100

_LOGIN = ('username', 'password', 'domain')
_PORT = 445
_FAILED = 32  # as mount(8) ends
#: Where another address of the server may do.
_AWAY = frozenset(
    {
        errno.ECONNREFUSED,
        errno.EHOSTDOWN,
        errno.EHOSTUNREACH,
        errno.ENETUNREACH,
        errno.ETIMEDOUT,
    }
)


def main() -> int:
    """Mount what standard input says; tell why it could not."""
    wish = json.load(sys.stdin)
    host = wish['source'].split('/')[2]
    told = ''
    try:
        for address in _addresses(host):
            try:
                _mount(wish, address)
                return 0
            except OSError as error:
                told = told or f'{error.filename}: {error.strerror}'
                if error.errno not in _AWAY:
                    break
    except socket.gaierror as error:
        told = f'failed to resolve server {host}: {error.strerror}'
    sys.stderr.write(f'{told}\n')
    return _FAILED


def _addresses(host: str) -> list[str]:
    found = socket.getaddrinfo(host, _PORT, type=socket.SOCK_STREAM)
    return [str(address[0]) for *_, address in found]


def _mount(wish: dict[str, str], address: str) -> None:
    words = [word.partition('=') for word in wish['options'].split(',')]
    names = [name for name, equals, _ in words if not equals]
    settings = {name: value for name, equals, value in words if equals}
    settings |= {key: wish[key] for key in _LOGIN if key in wish}
    settings |= {'source': wish['source'], 'ip': address}
    context = _call('this kernel has no cifs', _FSOPEN, 'cifs', _CLOEXEC)
    for name, value in settings.items():
        # Never what it is set to: that may be the password.
        setting = (context, _SET_STRING, name, value, 0)
        _call(f'bad option {name}', _FSCONFIG, *setting)
    for name in names:
        if name not in _FLAGS:
            flag = (context, _SET_FLAG, name, None, 0)
            _call(f'bad option {name}', _FSCONFIG, *flag)
    _call(wish['source'], _FSCONFIG, context, _CREATE, None, None, 0)
    flags = sum(_FLAGS.get(name, 0) for name in names)
    tree = _call(wish['source'], _FSMOUNT, context, _CLOEXEC, flags)
    place = (_AT_FDCWD, wish['path'], _FROM_DESCRIPTOR)
    _call(wish['path'], _MOVE_MOUNT, tree, '', *place)


def _call(what: str, number: int, *arguments: str | int | None) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    plain = (_plain(argument) for argument in arguments)
    done = int(libc.syscall(ctypes.c_long(number), *plain))
    if done < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), what)
    return done


def _plain(argument: str | int | None) -> bytes | ctypes.c_long | None:
    if isinstance(argument, str):
        return argument.encode(errors='surrogateescape')
    return None if argument is None else ctypes.c_long(argument)


if __name__ == '__main__':
    sys.exit(main())
