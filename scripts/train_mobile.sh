#!/usr/bin/env bash
# Train the mobile network: generate its data, run it once through the early stages of the trunk, and train everything
# behind them. Started again, it goes on where it was. Settings, as variables:
#   SKINS, HDRI      folders of textures and environment maps (scripts/fetch_hdri.sh); procedural without
#   SAMPLES          images to generate                                         60000
#   TRUNK_SAMPLES    augmented samples to keep, 84 kB each                      60000
#   STEPS            optimiser steps                                            4000
#   DATA_SEED        of the images                                              11
#   DATA, RUN        where the data goes, name of the run                       data/Mobile, mobile
#   POOL             for a GPU, instead of SAMPLES and TRUNK_SAMPLES: so many images, generated while training goes on,
#                    165 kB each; all of the trunk learns, from batches of 256 in bf16. DATA is data/MobilePool then
# Arguments pass through to the training:
#   HDRI=data/hdri ./scripts/train_mobile.sh --device cuda
#   HDRI=data/hdri POOL=160000 ./scripts/train_mobile.sh --makers 9 --workers 5
source "$(dirname "${BASH_SOURCE[0]}")/python_env.sh"
DATA="${DATA:-$ROOT/data/Mobile${POOL:+Pool}}" RUN="${RUN:-mobile}"
SCENES=(--seed "${DATA_SEED:-11}" --hand_px 84 168 --skins "${SKINS:-procedural}" --hdri "${HDRI:-procedural}")

WRITTEN="${SAMPLES:-60000}" FOLDER="$DATA"
if [ -n "${POOL:-}" ]; then WRITTEN=0 FOLDER="$DATA/held_out"; fi
"$PYTHON" "$ROOT/run.py" --phase synth --data_dir "$FOLDER" "${SCENES[@]}" --train_samples "$WRITTEN" --eval_samples 2000

if [ -n "${POOL:-}" ]; then
    LEARNING=("${SCENES[@]}" --stream "$POOL" --cache "$DATA/pool" --precision bf16 --batch_size 256 --lr 1.2e-3 --trunk_lr 0.5)
else
    LEARNING=(--data_dir "$DATA" --trunk_samples "${TRUNK_SAMPLES:-60000}" --trunk_steps 1000 --trunk_lr 0.15
        --batch_size 32 --accumulate 2 --lr 1e-3)
fi
RESUME=()
[ -f "$ROOT/out/FreiHAND/$RUN/checkpoints/checkpoint_last.pt" ] && RESUME=(--resume last)
exec "$PYTHON" "$ROOT/run.py" --phase train --model cmr_mobile --exp_name "$RUN" \
    --img_mean 0 --img_std 1 --upright_aug --rot_aug 25 --out_channels 16 32 64 128 "${LEARNING[@]}" \
    --schedule cosine --save_steps 200 --epochs 1000000 --max_steps "${STEPS:-4000}" ${RESUME[@]+"${RESUME[@]}"} "$@"
