"""What the terms of pages and model card mean, in plain words: the texts behind the question marks."""

TERMS = {
    "Grad-CAM": "Grad-CAM shows how strongly each part of the photo speaks for a class. The network's own grid is coarse (a cell is 16 or "
    "32 pixels of its small input) and is stretched over the photo.",
    "Calibration": "Probabilities are calibrated if they match the accuracy: of the predictions made with 80%, about 80% are correct.",
    "Calibration error": "Calibration error is the average gap between confidence and accuracy, over bins of predictions with similar "
    "confidence (expected calibration error, ECE). 0 is perfect.",
    "Temperature": "The temperature divides the network's scores before they become probabilities: above 1 lowers confidence, below 1 "
    "raises it. The order of the classes stays the same.",
    "Recall": "Recall is the share of a class's photos that are predicted as that class. If it is low, many are missed.",
    "Precision": "Precision is the share of the photos predicted as a class that belong to it. If it is low, many belong to other classes.",
    "F1": "F1 is the harmonic mean of precision and recall. It is high only if both are high.",
    "Macro-F1": "Macro-F1 is the mean of the classes' F1 (the harmonic mean of precision and recall). A rare class counts as much as a "
    "common one; 1 is perfect.",
    "Average precision": "Average precision is the area under the precision-recall curve. 1 is perfect.",
    "AUROC": "AUROC is the probability that a photo of one of the classes scores higher than a photo of something else. 1 is perfect, 0.5 "
    "is chance.",
    "Loss": "Loss is what training minimises: it is low if the true classes get high probabilities.",
}
