#!/usr/bin/env bash
# Everything once, small, on a fresh clone: generate 2,000 hands, train a little, evaluate with score, run the demo.
# Five to ten minutes on two cores; the results are in out/smoke. Started again, it goes on where it was. The network is
# far from trained: this shows that the parts work together.
source "$(dirname "${BASH_SOURCE[0]}")/python_env.sh"
OUT="$ROOT/out/smoke"
RUN="$OUT/FreiHAND/smoke"
start=(--imagenet none)
[ -f "$RUN/checkpoints/checkpoint_last.pt" ] && start+=(--resume last)

"$PYTHON" "$ROOT/run.py" --phase synth --data_dir "$OUT/data" --train_samples 2000 --eval_samples 100
"$PYTHON" "$ROOT/run.py" --phase train --data_dir "$OUT/data" --out_dir "$OUT" --exp_name smoke \
    --size 128 --batch_size 16 --max_steps 80 --lr 3e-4 --rot_aug 30 "${start[@]}"
"$PYTHON" "$ROOT/run.py" --phase eval --data_dir "$OUT/data" --out_dir "$OUT" --exp_name smoke
"$PYTHON" "$ROOT/run.py" --phase demo --resume "$RUN/checkpoints/checkpoint_last.pt" --out_dir "$OUT/demo"
echo "data, contact_sheet.png: $OUT/data; scores.txt, pck.png: $RUN; meshes and plots: $OUT/demo"
