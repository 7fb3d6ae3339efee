//! A little mathematics in labels: what stands between two dollar signs.
//!
//! Inside `$…$`: letters are italic, `_x` and `_{…}` lower, `^x` and `^{…}` raise, `\alpha`, `\kappa`, `\lambda`, `\tilde`
//! and other names below are symbols, words of two or more letters in a sub- or superscript are upright, `-` is a minus
//! sign. Outside, everything is literal except Unicode sub- and superscript digits and signs (κ₊, 10⁻³), which are drawn
//! as lowered and raised text, and `\$`, a dollar sign. An unpaired `$` is literal. A name that comes from a file must go
//! through [`literal`].

/// A stretch of text in one style.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// The characters.
    pub text: String,
    /// Height of the baseline.
    pub shift: Shift,
    /// Italic, as variables are.
    pub italic: bool,
}

/// Height of a [`Run`]'s baseline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shift {
    /// On the line.
    Base,
    /// A subscript.
    Sub,
    /// A superscript.
    Sup,
}

/// Text from outside, made literal: no part of it is read as mathematics.
pub fn literal(text: &str) -> String {
    text.replace('$', "\\$")
}

/// Split a label into styled runs.
pub fn parse(label: &str) -> Vec<Run> {
    let mut runs = Vec::new();
    let mut rest = label;
    while let Some(start) = find_dollar(rest) {
        let Some(len) = find_dollar(&rest[start + 1..]) else { break };
        plain(&rest[..start], &mut runs);
        math(&rest[start + 1..start + 1 + len], Shift::Base, &mut runs);
        rest = &rest[start + len + 2..];
    }
    plain(rest, &mut runs);
    runs
}

fn find_dollar(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    (0..bytes.len()).find(|&i| bytes[i] == b'$' && (i == 0 || bytes[i - 1] != b'\\'))
}

fn push(runs: &mut Vec<Run>, text: &str, shift: Shift, italic: bool) {
    if text.is_empty() {
        return;
    }
    match runs.last_mut() {
        Some(last) if last.shift == shift && last.italic == italic => last.text.push_str(text),
        _ => runs.push(Run { text: text.into(), shift, italic }),
    }
}

fn plain(text: &str, runs: &mut Vec<Run>) {
    let text = text.replace("\\$", "$");
    for c in text.chars() {
        let (c, shift) = unshift(c);
        push(runs, c.encode_utf8(&mut [0; 4]), shift, false);
    }
}

/// Unicode sub- and superscripts as their base characters.
fn unshift(c: char) -> (char, Shift) {
    const SUB: &str = "₀₁₂₃₄₅₆₇₈₉₊₋₌₍₎";
    const SUP: &str = "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾";
    const BASE: &str = "0123456789+−=()";
    let find = |set: &str| set.chars().position(|s| s == c).and_then(|i| BASE.chars().nth(i));
    if let Some(base) = find(SUB) {
        (base, Shift::Sub)
    } else if let Some(base) = find(SUP) {
        (base, Shift::Sup)
    } else {
        (c, Shift::Base)
    }
}

fn math(text: &str, shift: Shift, runs: &mut Vec<Run>) {
    let chars: Vec<char> = text.chars().collect();
    let mut i = 0;
    while i < chars.len() {
        let c = chars[i];
        i += 1;
        match c {
            '_' | '^' => {
                let inner = if c == '_' { Shift::Sub } else { Shift::Sup };
                let argument = argument(&chars, &mut i);
                let word = argument.chars().count() > 1 && argument.chars().all(|c| c.is_ascii_alphabetic());
                if word {
                    push(runs, &argument, inner, false);
                } else {
                    math(&argument, inner, runs);
                }
            }
            '\\' => {
                let start = i;
                while i < chars.len() && chars[i].is_ascii_alphabetic() {
                    i += 1;
                }
                let name: String = chars[start..i].iter().collect();
                if name == "sqrt" {
                    let argument = argument(&chars, &mut i);
                    let (open, close) =
                        if argument.chars().count() > 1 { ("√(", ")") } else { ("√", "") };
                    push(runs, open, shift, false);
                    math(&argument, shift, runs);
                    push(runs, close, shift, false);
                } else if let Some(mark) = accent(&name) {
                    let argument = argument(&chars, &mut i);
                    math(&argument, shift, runs);
                    if let Some(last) = runs.last_mut() {
                        last.text.push(mark);
                    }
                } else if let Some(symbol) = symbol(&name) {
                    let italic =
                        symbol.chars().all(char::is_lowercase) && symbol.chars().all(char::is_alphabetic);
                    push(runs, symbol, shift, italic);
                    // A space ends a name and is not drawn, as in TeX.
                    if chars.get(i) == Some(&' ') && !spaced(&name) {
                        i += 1;
                    }
                } else if name.is_empty() && i < chars.len() {
                    let c = if chars[i] == '|' { '‖' } else { chars[i] };
                    push(runs, c.encode_utf8(&mut [0; 4]), shift, false);
                    i += 1;
                } else {
                    push(runs, &name, shift, false);
                }
            }
            '{' | '}' => {}
            '-' => push(runs, "−", shift, false),
            _ => {
                let (c, own) = unshift(c);
                let shift = if own == Shift::Base { shift } else { own };
                // A combining mark stays with its letter.
                let italic = if ('\u{300}'..='\u{36f}').contains(&c) {
                    runs.last().is_some_and(|r| r.italic)
                } else {
                    c.is_alphabetic() && c != 'ℝ'
                };
                push(runs, c.encode_utf8(&mut [0; 4]), shift, italic);
            }
        }
    }
}

/// The argument of `_`, `^` or an accent: a group in braces, a `\name`, or one character.
fn argument(chars: &[char], i: &mut usize) -> String {
    while chars.get(*i) == Some(&' ') {
        *i += 1;
    }
    match chars.get(*i) {
        Some('{') => {
            let start = *i + 1;
            let mut depth = 1;
            let mut end = start;
            while end < chars.len() {
                match chars[end] {
                    '{' => depth += 1,
                    '}' => depth -= 1,
                    _ => {}
                }
                if depth == 0 {
                    break;
                }
                end += 1;
            }
            *i = (end + 1).min(chars.len());
            chars[start..end].iter().collect()
        }
        Some('\\') => {
            let start = *i;
            *i += 1;
            while *i < chars.len() && chars[*i].is_ascii_alphabetic() {
                *i += 1;
            }
            chars[start..*i].iter().collect()
        }
        Some(&c) => {
            *i += 1;
            c.to_string()
        }
        None => String::new(),
    }
}

/// Names of relations and operators, which keep the space written after them.
fn spaced(name: &str) -> bool {
    matches!(name, "pm" | "cdot" | "approx" | "le" | "ge" | "in")
}

fn accent(name: &str) -> Option<char> {
    match name {
        "tilde" => Some('\u{303}'),
        "hat" => Some('\u{302}'),
        "bar" => Some('\u{304}'),
        _ => None,
    }
}

fn symbol(name: &str) -> Option<&'static str> {
    Some(match name {
        "alpha" => "α",
        "beta" => "β",
        "gamma" => "γ",
        "delta" => "δ",
        "epsilon" => "ε",
        "eta" => "η",
        "theta" => "θ",
        "kappa" => "κ",
        "lambda" => "λ",
        "mu" => "μ",
        "nu" => "ν",
        "rho" => "ρ",
        "sigma" => "σ",
        "tau" => "τ",
        "chi" => "χ",
        "omega" => "ω",
        "ell" => "ℓ",
        "Delta" => "Δ",
        "Sigma" => "Σ",
        "nabla" => "∇",
        "partial" => "∂",
        "langle" => "⟨",
        "rangle" => "⟩",
        "pm" => "±",
        "times" => "×",
        "cdot" => "·",
        "ast" => "*",
        "approx" => "≈",
        "le" => "≤",
        "ge" => "≥",
        "in" => "∈",
        "infty" => "∞",
        "Pr" => "Pr",
        "tr" => "tr",
        "log" => "log",
        "exp" => "exp",
        "min" => "min",
        "max" => "max",
        _ => return None,
    })
}

/// The label as HTML (also the subset that Plotly understands); everything is escaped.
pub fn to_html(label: &str) -> String {
    let mut html = String::new();
    for run in parse(label) {
        let (open, close) = match run.shift {
            Shift::Base => ("", ""),
            Shift::Sub => ("<sub>", "</sub>"),
            Shift::Sup => ("<sup>", "</sup>"),
        };
        html.push_str(open);
        if run.italic {
            html.push_str("<i>");
        }
        html.push_str(&escape(&run.text));
        if run.italic {
            html.push_str("</i>");
        }
        html.push_str(close);
    }
    html
}

/// The label as plain text.
pub fn to_plain(label: &str) -> String {
    parse(label).into_iter().map(|run| run.text).collect()
}

/// Text made safe inside XML or HTML elements and quoted attributes. Characters that XML forbids become U+FFFD.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&#34;"),
            '\'' => out.push_str("&#39;"),
            '\n' | '\r' | '\t' => out.push(' '),
            '\u{0}'..='\u{1f}' | '\u{7f}' | '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            _ => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mathematics_becomes_runs() {
        let runs = parse("a $\\tilde\\kappa_+$, $\\lambda_{max}$ $10^{-3}$");
        let text: Vec<(&str, Shift, bool)> =
            runs.iter().map(|r| (r.text.as_str(), r.shift, r.italic)).collect();
        assert_eq!(
            text,
            vec![
                ("a ", Shift::Base, false),
                ("κ\u{303}", Shift::Base, true),
                ("+", Shift::Sub, false),
                (", ", Shift::Base, false),
                ("λ", Shift::Base, true),
                ("max", Shift::Sub, false),
                (" 10", Shift::Base, false),
                ("−3", Shift::Sup, false),
            ]
        );
    }

    #[test]
    fn plain_text_is_literal_except_unicode_scripts() {
        assert_eq!(to_plain("layer_1.weight^2 costs $5"), "layer_1.weight^2 costs $5");
        assert_eq!(to_html("κ₊"), "κ<sub>+</sub>");
        assert_eq!(to_plain(&literal("$x$ and $y$")), "$x$ and $y$");
    }

    #[test]
    fn roots_and_norms_keep_their_grouping() {
        assert_eq!(to_plain("$A \\pm \\sqrt{4B^2 + C}$"), "A ± √(4B2 + C)");
        assert_eq!(to_plain("$\\sqrt n \\|v\\|$"), "√n ‖v‖");
    }

    #[test]
    fn broken_mathematics_does_not_panic() {
        for text in
            ["$", "$$", "$_$", "$^{$", "$\\$", "$\\tilde$", "$\\tilde{\\kappa", "$a_{b_{c}}$", "\\", "é$ü_é$"]
        {
            parse(text);
        }
    }

    #[test]
    fn markup_of_html_is_escaped() {
        assert_eq!(to_html("<script>$</script>$"), "&lt;script&gt;&lt;/<i>script</i>&gt;");
    }
}
