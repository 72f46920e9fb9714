#!/usr/bin/env bash
# Train the mobile network: generate its data, train everything behind the frozen trunk on features that are computed
# once, then the whole network on images. Started again, each step goes on where it was. Settings, as variables:
#   SKINS, HDRI      folders of textures and environment maps (scripts/fetch_hdri.sh); procedural without
#   SAMPLES          images to generate                                                      80000
#   TRUNK_SAMPLES    augmented samples whose features are kept, 140 kB each                  30000
#   HEAD_STEPS       steps of 64 on them                                                     3400
#   STEPS            steps of 32 on images                                                   2000
#   DATA, RUN        where the data goes, name of the run                                    data/Mobile, mobile
# Arguments pass through to both trainings:
#   HDRI=data/hdri ./scripts/train_mobile.sh --device cuda
source "$(dirname "${BASH_SOURCE[0]}")/python_env.sh"
DATA="${DATA:-$ROOT/data/Mobile}" RUN="${RUN:-mobile}"
RUNS="$ROOT/out/FreiHAND"
HEADS="$RUNS/${RUN}_heads/checkpoints/checkpoint_last.pt" WHOLE="$RUNS/$RUN/checkpoints/checkpoint_last.pt"

"$PYTHON" "$ROOT/run.py" --phase synth --data_dir "$DATA" --seed 11 --hand_px 84 168 \
    --skins "${SKINS:-procedural}" --hdri "${HDRI:-procedural}" --train_samples "${SAMPLES:-80000}" --eval_samples 2000

COMMON=(--phase train --data_dir "$DATA" --model cmr_mobile --img_mean 0 --img_std 1 --upright_aug --rot_aug 25
    --out_channels 16 32 64 128 --schedule cosine --save_steps 200 --epochs 1000)
ON_HEADS=() ON_WHOLE=(--resume "$HEADS" --weights_only)
[ -f "$HEADS" ] && ON_HEADS=(--resume last)
[ -f "$WHOLE" ] && ON_WHOLE=(--resume last)
"$PYTHON" "$ROOT/run.py" "${COMMON[@]}" --exp_name "${RUN}_heads" --trunk_samples "${TRUNK_SAMPLES:-30000}" \
    --batch_size 64 --lr 1.5e-3 --max_steps "${HEAD_STEPS:-3400}" "${ON_HEADS[@]}" "$@"
exec "$PYTHON" "$ROOT/run.py" "${COMMON[@]}" --exp_name "$RUN" --trunk_samples 0 \
    --batch_size 32 --lr 3e-4 --trunk_lr 0.3 --max_steps "${STEPS:-2000}" "${ON_WHOLE[@]}" "$@"
