"""A number on the command line: --//tests:golden_seed=N."""

def _seed_impl(ctx):
    seed = str(ctx.build_setting_value)
    return [platform_common.TemplateVariableInfo({"GOLDEN_SEED": seed})]

golden_seed = rule(
    doc = "$(GOLDEN_SEED) for genrules that name the target in `toolchains`.",
    implementation = _seed_impl,
    build_setting = config.int(flag = True),
)
