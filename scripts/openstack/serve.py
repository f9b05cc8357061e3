"""Serves a WSGI application of OpenStack's: `serve.py MODULE PORT PROCESSES THREADS [OPTION...]`, the options being the
application's.

waitress-serve itself is no choice: what it is told on its command line, the application takes for its own options.
"""

import ctypes
import importlib
import os
import signal
import socket
import sys

import waitress

PR_SET_PDEATHSIG = 1

module, port, processes, threads = sys.argv[1], *map(int, sys.argv[2:5])
sys.argv = [module, *sys.argv[5:]]
listener = socket.create_server(("127.0.0.1", port), backlog=1024)
for _ in range(processes - 1):
    if os.fork() == 0:
        # They end with the one that was started.
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        break
application = importlib.import_module(module).application
waitress.serve(application, sockets=[listener], threads=threads)
