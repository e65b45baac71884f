neurodeploy doctor
neurodeploy targets show xylo_imu
neurodeploy demo --out digits
neurodeploy check digits/model.safetensors --target xylo_imu
neurodeploy convert digits/model.safetensors --target xylo_imu \
    --calibration digits/train.npz --data digits/test.npz --out digits/imu.nd
neurodeploy map digits/imu.nd
neurodeploy simulate digits/imu.nd digits/test.npz
neurodeploy verify digits/imu.nd --json
