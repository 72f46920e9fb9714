#!/usr/bin/env bash
# Train the mobile network: generate images, label photos of hands (scripts/label_photos.py), and train on both. Started
# again, it goes on where it was. Settings, as variables:
#   PHOTOS           folder of crops of hands with index.csv; generated images alone without
#   START            weights to begin with, a checkpoint; the published trunk without
#   SKINS, HDRI      folders of textures and environment maps (scripts/fetch_hdri.sh); procedural without
#   SAMPLES          images to generate                                         40000
#   STEPS            optimiser steps                                            4000
#   DATA_SEED        of the images                                              61
#   DATA, OUT, RUN   where the data goes, where the run goes, its name          data/Mobile, out, mobile
#   POOL             for a GPU, instead of PHOTOS and SAMPLES: so many images, 165 kB each, generated while training goes
#                    on, which takes batches of 256 in bf16. DATA is data/MobilePool
# Arguments pass through to the training:
#   HDRI=data/hdri PHOTOS=photos ./scripts/train_mobile.sh
#   HDRI=data/hdri POOL=160000 ./scripts/train_mobile.sh --makers 9 --workers 5
source "$(dirname "${BASH_SOURCE[0]}")/python_env.sh"
DATA="${DATA:-$ROOT/data/Mobile${POOL:+Pool}}" OUT="${OUT:-$ROOT/out}" RUN="${RUN:-mobile}"
SCENES=(--seed "${DATA_SEED:-61}" --hand_px 84 168 --skins "${SKINS:-procedural}" --hdri "${HDRI:-procedural}")

WRITTEN="${SAMPLES:-40000}" FOLDER="$DATA/Synthetic" SETS=(Synthetic)
if [ -n "${POOL:-}" ]; then WRITTEN=0 FOLDER="$DATA/held_out" SETS=(FreiHAND); fi
"$PYTHON" "$ROOT/run.py" --phase synth --data_dir "$FOLDER" "${SCENES[@]}" --train_samples "$WRITTEN" --eval_samples 1500

if [ -n "${PHOTOS:-}" ] && [ -z "${POOL:-}" ]; then
    [ -f "$DATA/Keypoints/annotations.json" ] ||
        "$PYTHON" "$ROOT/scripts/label_photos.py" "$PHOTOS" "$DATA/Keypoints"
    FOLDER="$DATA" SETS=(Synthetic:3 Keypoints:1)
fi
if [ -n "${POOL:-}" ]; then
    LEARNING=("${SCENES[@]}" --stream "$POOL" --cache "$DATA/pool" --precision bf16 --batch_size 256 --lr 1.2e-3 --trunk_lr 0.5)
else
    LEARNING=(--dataset "${SETS[@]}" --data_dir "$FOLDER" --batch_size 32)
    if [ -n "${START:-}" ]; then
        LEARNING+=(--lr 5e-4 --trunk_lr 0.3 --trunk_steps 0)
    else
        LEARNING+=(--lr 1e-3 --trunk_lr 0.15 --trunk_steps 1000 --accumulate 2)
    fi
fi
names="${SETS[*]%%:*}" RESUME=()
if [ -f "$OUT/${names// /+}/$RUN/checkpoints/checkpoint_last.pt" ]; then
    RESUME=(--resume last)
elif [ -n "${START:-}" ]; then
    RESUME=(--resume "$START" --weights_only)
fi
exec "$PYTHON" "$ROOT/run.py" --phase train --model cmr_mobile --out_dir "$OUT" --exp_name "$RUN" \
    --img_mean 0 --img_std 1 --rot_aug 25 --neighbour_aug 0.2 --out_channels 16 32 64 128 "${LEARNING[@]}" \
    --schedule cosine --save_steps 200 --epochs 1000000 --max_steps "${STEPS:-4000}" ${RESUME[@]+"${RESUME[@]}"} "$@"
