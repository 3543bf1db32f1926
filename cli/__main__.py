"""Run the command: `python -m onnxlet`. Only a wheel has this file in the package `onnxlet`."""

from onnxlet_cli.main import main

if __name__ == "__main__":
    main()
