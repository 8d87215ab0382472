"""Which of a run's tags TensorBoard shows in its custom charts and beside the hyperparameters."""

# Charts of TensorBoard's custom scalars plugin, which show G beside D, three in a row. The plugin gives each run one
# colour, so that curves of one run in a chart differ only by their markers; each network therefore has its own charts.
# All runs must have the same layout, or charts appear twice.
LAYOUT_TITLE = "training"
LAYOUT = {
    "loss of D": ["loss/discriminator", "loss_balance/discriminator"],
    "loss of G": ["loss/generator", "loss_balance/generator"],
    "accuracy of D": ["accuracy/real", "accuracy/fake", "accuracy/discriminator"],
    "gradient norm of D, mean and largest": ["gradient_norm/discriminator", "gradient_norm_max/discriminator"],
    "gradient norm of G, mean and largest": ["gradient_norm/generator", "gradient_norm_max/generator"],
    "learning rates": ["learning_rate/discriminator", "learning_rate/generator"],
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
