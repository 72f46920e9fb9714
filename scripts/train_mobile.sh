#!/usr/bin/env bash
# Train the mobile network that this repository ships: generate its data (once), then train; started again, both go on
# where they were. SKINS and HDRI name folders of textures and environment maps, see scripts/fetch_hdri.sh. Arguments
# pass through to the training.
#   HDRI=data/hdri SKINS=data/skins SAMPLES=80000 ./scripts/train_mobile.sh --workers 2
source "$(dirname "${BASH_SOURCE[0]}")/python_env.sh"
DATA="${DATA:-$ROOT/data/Mobile}" RUN="${RUN:-mobile}"
"$PYTHON" "$ROOT/run.py" --phase synth --data_dir "$DATA" --seed 11 --hand_px 84 168 \
    --skins "${SKINS:-procedural}" --hdri "${HDRI:-procedural}" --train_samples "${SAMPLES:-80000}" --eval_samples 2000
RESUME=()
[ -f "$ROOT/out/FreiHAND/$RUN/checkpoints/checkpoint_last.pt" ] && RESUME=(--resume last)
exec "$PYTHON" "$ROOT/run.py" --phase train --exp_name "$RUN" --data_dir "$DATA" --model cmr_mobile \
    --img_mean 0 --img_std 1 --upright_aug --rot_aug 25 --out_channels 32 64 96 128 --batch_size 32 --lr 1e-3 \
    --schedule cosine --max_steps 3000 --trunk_steps 2200 --trunk_lr 0.2 --save_steps 200 "${RESUME[@]}" "$@"
