"""Serves a WSGI application of OpenStack's: `serve.py MODULE PORT [OPTION...]`, the options being the application's.

waitress-serve itself is no choice: what it is told on its command line, the application takes for its own options.
"""

import importlib
import sys

import waitress

module, port = sys.argv[1], int(sys.argv[2])
sys.argv = [module, *sys.argv[3:]]
application = importlib.import_module(module).application
waitress.serve(application, host="127.0.0.1", port=port, threads=16)
