# Report 1: 21 facial landmarks in 112x112 grey crops. Optimizers, schedule, batch norm, dropout.
# Every number in px^2: mean squared error over the 42 coordinates. "Valid" is the held-out fifth of the photographs.

# Common to all runs (the report's section on training): batch 64, 250 epochs, and a rotated copy of every face added;
# "a small angle" is read as up to 15 degrees. The report's remarks are about a face rotated far, so every run also
# scores faces rotated by 30 degrees.
KEYPOINTS      = --model keypoint --data faces21 --rotated-copies 15 --batch-size 64 --epochs 250 --valid-rotation 30
KEYPOINTS_ADAM = $(KEYPOINTS) --optim adam --lr 0.01
# From epoch 200 or 350 on, SGD at the rate of the run sgd.
KEYPOINTS_SGD  = --switch-optim sgd --switch-lr 1e-5 --momentum 0.9

## SGD against Adam. The report names SGD's rate; its momentum is a guess.
exp.adam                       = keypoints/sgd keypoints/adam
plots.adam                     = curves faces
run.keypoints/sgd              = $(KEYPOINTS) --optim sgd --lr 1e-5 --momentum 0.9
run.keypoints/adam             = $(KEYPOINTS_ADAM)

## Adam for 200 epochs, then SGD for 50. The second panel of its figure shows those 50, or, where all runs blew up,
## the last 50 before that.
exp.adam-sgd                   = keypoints/adam keypoints/adam-sgd
plots.adam-sgd                 = curves:50 faces
run.keypoints/adam-sgd         = $(KEYPOINTS_ADAM) --switch-after 200 $(KEYPOINTS_SGD)

## Adam whose learning rate halves every 100 epochs.
exp.steplr                     = keypoints/adam keypoints/adam-step
plots.steplr                   = curves faces
run.keypoints/adam-step        = $(KEYPOINTS_ADAM) --schedule step --step-size 100 --gamma 0.5

## Batch norm after conv1_1, conv2_2 and "conv3_3" (read as conv3_2), then dropout that keeps 70 % after flatten.
exp.bn-dropout                 = keypoints/adam keypoints/adam-bn keypoints/adam-bn-dropout
plots.bn-dropout               = curves faces
run.keypoints/adam-bn          = $(KEYPOINTS_ADAM) --norm bn
want.keypoints/adam-bn         = valid_loss=6
run.keypoints/adam-bn-dropout  = $(KEYPOINTS_ADAM) --norm bn --dropout 0.3
want.keypoints/adam-bn-dropout = valid_loss=6

## Ours: the assignment says "find Adam's learning rate"; the report shows only the one it took.
exp.adam-lr                    = keypoints/adam-lr-1e-1 keypoints/adam keypoints/adam-lr-1e-3 keypoints/adam-lr-1e-4
plots.adam-lr                  = sweep:lr faces
run.keypoints/adam-lr-1e-1     = $(KEYPOINTS) --optim adam --lr 1e-1
run.keypoints/adam-lr-1e-3     = $(KEYPOINTS) --optim adam --lr 1e-3
run.keypoints/adam-lr-1e-4     = $(KEYPOINTS) --optim adam --lr 1e-4

## Left open by the report: is the switch better with 400 epochs?
exp.adam-sgd-400               = keypoints/adam-400 keypoints/adam-sgd-400
plots.adam-sgd-400             = curves:50 faces
run.keypoints/adam-400         = $(KEYPOINTS_ADAM) --epochs 400
run.keypoints/adam-sgd-400     = $(KEYPOINTS_ADAM) --epochs 400 --switch-after 350 $(KEYPOINTS_SGD)

## Ours: what if the copies are made first and all images are split afterwards? Then "valid" holds
## turned copies of training faces.
exp.split                           = keypoints/adam-bn keypoints/adam-bn-leak \
                                      keypoints/adam-bn-dropout keypoints/adam-bn-dropout-leak
plots.split                         = curves faces
KEYPOINTS_LEAK                      = $(KEYPOINTS_ADAM) --norm bn --split leak --rotated-copies 0
run.keypoints/adam-bn-leak          = $(KEYPOINTS_LEAK)
want.keypoints/adam-bn-leak         = valid_loss=6
run.keypoints/adam-bn-dropout-leak  = $(KEYPOINTS_LEAK) --dropout 0.3
want.keypoints/adam-bn-dropout-leak = valid_loss=6

## Ours: under which settings that the report may have had does Adam at 0.01 last 250 epochs? A larger eps, every face's
## copy made once, batch norm behind the PReLU as in the report's script.
exp.adam-lasts                       = keypoints/adam keypoints/adam-eps keypoints/adam-copies-once \
                                       keypoints/adam-lr-1e-3 keypoints/adam-bn keypoints/adam-bn-last \
                                       keypoints/adam-bn-dropout keypoints/adam-bn-last-dropout
run.keypoints/adam-eps               = $(KEYPOINTS_ADAM) --adam-eps 1e-4
run.keypoints/adam-copies-once       = $(KEYPOINTS_ADAM) --copies-once
run.keypoints/adam-bn-last           = $(KEYPOINTS_ADAM) --norm bn --bn-last
want.keypoints/adam-bn-last          = $(want.keypoints/adam-bn)
run.keypoints/adam-bn-last-dropout   = $(KEYPOINTS_ADAM) --norm bn --bn-last --dropout 0.3
want.keypoints/adam-bn-last-dropout  = $(want.keypoints/adam-bn-dropout)

## Ours: the report's comparisons at a tenth of its rate, where Adam lasts.
exp.adam-lr-1e-3                       = keypoints/adam-lr-1e-3 keypoints/adam-sgd-lr-1e-3 keypoints/adam-step-lr-1e-3 \
                                         keypoints/adam-bn-lr-1e-3 keypoints/adam-bn-dropout-lr-1e-3
plots.adam-lr-1e-3                     = curves faces
run.keypoints/adam-sgd-lr-1e-3         = $(run.keypoints/adam-sgd) --lr 1e-3
run.keypoints/adam-step-lr-1e-3        = $(run.keypoints/adam-step) --lr 1e-3
run.keypoints/adam-bn-lr-1e-3          = $(run.keypoints/adam-bn) --lr 1e-3
want.keypoints/adam-bn-lr-1e-3         = $(want.keypoints/adam-bn)
run.keypoints/adam-bn-dropout-lr-1e-3  = $(run.keypoints/adam-bn-dropout) --lr 1e-3
want.keypoints/adam-bn-dropout-lr-1e-3 = $(want.keypoints/adam-bn-dropout)

# What stands for this report in the READMEs.
headline.keypoints = keypoints/adam-bn best_valid_loss

claim.K1  = Adam is nearly done by epoch 70
claim.K2  = Adam then SGD is steadier than Adam in epochs 201 to 250
claim.K3  = Adam with StepLR ends within 20 % of Adam
claim.K4  = both BN runs end below plain Adam
claim.K5  = dropout narrows the BN net's gap between train and valid
claim.K6  = open: 350 epochs of Adam and 50 of SGD beat 400 of Adam
claim.K7  = both BN runs reach plain Adam's final valid loss sooner
claim.K8  = StepLR makes Adam slower and less steady
claim.K9  = Adam then SGD lies above Adam in the last 50 epochs
claim.K10 = on faces turned by 30° StepLR errs most, the BN runs least
