"""The command line as a module: for the processes that `ui` starts."""

import os

from deribit_pipeline.cli.main import main
from deribit_pipeline.variables import FOLDER

if __name__ == "__main__":
    # `ui` starts its processes elsewhere: the settings are those of its own folder.
    os.chdir(os.environ.get(FOLDER, "."))
    main()
