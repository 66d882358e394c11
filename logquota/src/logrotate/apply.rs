//! What one directive does to the options.

use std::sync::Arc;

use super::Dialect;
use super::diagnostic::{Fault, Pos};
use super::directives::Effect;
use super::env::Env;
use super::parse::Statement;
use super::settings::Settings;
use super::values::{Argument, Problem};

/// Follows a directive; `include` and the taboo lists do nothing to options.
pub(super) fn apply(
    settings: &mut Settings,
    statement: &Statement<'_>,
    env: &dyn Env,
    dialect: Dialect,
) -> Result<(), Problem> {
    let directive = statement.directive;
    if dialect == Dialect::Own && !directive.is_done() {
        return Err(Problem::Undone(undone(statement)));
    }
    match directive.effect() {
        Effect::Flag(set) => set(settings),
        Effect::Value(set) => {
            let argument = Argument {
                name: directive.name(),
                bytes: statement.value,
                pos: statement.value_pos,
                dialect,
            };
            set(settings, &argument, env)?;
        }
        Effect::Script(slot) => *slot(&mut settings.scripts) = Some(script(statement)?),
        Effect::Include | Effect::Taboo { .. } | Effect::Undone => {}
    }
    Ok(())
}

fn undone(statement: &Statement<'_>) -> Fault {
    let name = statement.directive.name();
    let (message, help) = match name {
        "errors" => (format!("`{name}` is obsolete"), "remove it".to_owned()),
        _ => (
            format!("`{name}` is not done by this version"),
            match statement.directive.inverse() {
                Some(inverse) => format!("remove it, or write `{inverse}` where it is not needed"),
                None => "remove it".to_owned(),
            },
        ),
    };
    Fault::new(statement.pos, message, help)
}

/// A script can be handed over only as text without NUL.
fn script(statement: &Statement<'_>) -> Result<Arc<str>, Problem> {
    let body = statement.value;
    let name = statement.directive.name();
    let at = |offset: usize| {
        let before = body.get(..offset).unwrap_or_default();
        let lines = before.iter().filter(|b| **b == b'\n').count();
        Pos { offset: statement.value_pos.offset + offset, line: statement.value_pos.line + lines }
    };
    let wrong = |offset: usize, what: &str, help: &str| {
        let message = format!("the script of `{name}` {what}");
        Problem::Wrong(Fault::new(at(offset), message, help))
    };
    if let Some(nul) = body.iter().position(|b| *b == 0) {
        return Err(wrong(nul, "has a NUL byte", "remove it"));
    }
    match std::str::from_utf8(body) {
        Ok(text) => Ok(text.into()),
        Err(error) => Err(wrong(
            error.valid_up_to(),
            "is no UTF-8",
            "put what needs other bytes into a file of its own, and call that",
        )),
    }
}
