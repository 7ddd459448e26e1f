"""What the terms of pages and model card mean, in plain words: the texts behind the question marks."""

TERMS = {
    "Grad-CAM": "Grad-CAM shows how strongly each place of the photo speaks for a kind. The network's own grid is coarse (a cell is 32 "
    "pixels of its small input); the map is stretched over the photo.",
    "In scope": "A photo is in scope if it looks like any of these kinds at all. If its score is too low for that, the probabilities of "
    "the kinds mean little.",
    "Calibration": "Probabilities are calibrated if they can be taken at their word: of the answers given with 80%, about 80% are right.",
    "Calibration error": "Calibration error is how far a shown probability is, on average, from the share of answers that are right; 0 is "
    "perfect. It is taken over bins of answers with like probabilities (expected calibration error, ECE).",
    "Temperature": "The temperature divides the network's scores before they become probabilities: above 1 the answers become less "
    "sure, below 1 surer. Which kind comes first stays the same.",
    "Recall": "Recall is the share of a kind's photos that are called so. If it is low, many are missed.",
    "Precision": "Precision is the share of the photos called a kind that really are of it. If it is low, much else is taken for it.",
    "F1": "F1 is precision and recall in one number, their harmonic mean. It is high only if few photos of a kind are missed and little "
    "else is taken for it.",
    "Macro-F1": "Macro-F1 is the mean of the kinds' F1, which is high only if few photos of a kind are missed and little else is taken for "
    "it. A rare kind counts as much as a common one; 1 is perfect.",
    "Average precision": "Average precision is the area under the curve: precision at every recall, from the surest answers to all of "
    "them. 1 is perfect.",
    "AUROC": "AUROC is the chance that a photo of these kinds scores above one of something else; 0.5 is no better than guessing.",
    "Loss": "Loss is what training makes small: it is low if the true kinds get high probabilities.",
}
