"""Which of a run's tags TensorBoard shows in its custom charts and beside the hyperparameters."""

# Charts of TensorBoard's custom scalars plugin. Each row is a category of its own, so that D stands beside G however
# wide the page is. The plugin gives each run one colour, and curves of one run in a chart differ only by their markers:
# therefore each network has its own charts. All runs must have the same layout, or charts appear twice.
LAYOUT = {
    "loss": {
        "loss of D": ["loss/discriminator", "loss_balance/discriminator"],
        "loss of G": ["loss/generator", "loss_balance/generator"],
    },
    "gradient norm, mean and largest": {
        "gradient norm of D": ["gradient_norm/discriminator", "gradient_norm_max/discriminator"],
        "gradient norm of G": ["gradient_norm/generator", "gradient_norm_max/generator"],
    },
    "accuracy and learning rate": {
        "accuracy of D": ["accuracy/real", "accuracy/fake", "accuracy/discriminator"],
        "learning rates": ["learning_rate/discriminator", "learning_rate/generator"],
    },
}
HPARAM_METRICS = (  # shown with their last values
    "evaluation/panel",
    "evaluation/recognised",
    "evaluation/fid_cnn",
    "evaluation/modes",
    "loss/discriminator",
    "loss/generator",
    "accuracy/discriminator",
)
