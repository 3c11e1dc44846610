"""A network between guard and server that can fall silent: what one side sends never arrives, and nobody is told."""

import socket
import threading
from contextlib import suppress


class Wire:
    """Passes every connection on to a port of this host.

    Once `falling_silent` is set, the server's next answer and whatever either side sends after it are lost.
    """

    def __init__(self, port: int) -> None:
        self._port, self.falling_silent, self.silent = port, False, False
        self._ends: list[socket.socket] = []
        self._door = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._door.getsockname()[1])
        threading.Thread(target=self._welcome, daemon=True).start()

    def cut(self) -> None:
        """Ends every connection, on both sides."""
        for end in (self._door, *self._ends):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def _welcome(self) -> None:
        with suppress(OSError):  # cut
            while True:
                guard, _ = self._door.accept()
                server = socket.create_connection(("127.0.0.1", self._port))
                self._ends += [guard, server]
                threading.Thread(target=self._pass_on, args=(guard, server, False), daemon=True).start()
                threading.Thread(target=self._pass_on, args=(server, guard, True), daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket, to_guard: bool) -> None:
        with suppress(OSError):
            while data := source.recv(65_536):
                self.silent = self.silent or (to_guard and self.falling_silent)
                if not self.silent:
                    target.sendall(data)
            if not self.silent:  # else nobody learns that the other side has left
                target.shutdown(socket.SHUT_WR)
