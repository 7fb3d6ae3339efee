//! The minus sign of text for people.

/// A formatted number with the minus sign (U+2212) in place of every hyphen.
pub fn minus(number: &str) -> String {
    number.replace('-', "−")
}

/// Text whose numbers have the minus sign, in front and in exponents. Hyphens of words, names and paths stay.
pub fn minus_in_numbers(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let part_of_a_name = |c: &char| c.is_alphanumeric() || matches!(c, '_' | '-' | '−' | '/' | '\\');
    let mut out = String::with_capacity(text.len());
    let mut i = 0;
    while i < chars.len() {
        let free = i == 0 || !part_of_a_name(&chars[i - 1]) && chars[i - 1] != '.';
        let end = if free { number_end(&chars, i) } else { None };
        let end = end.filter(|&end| {
            // A full stop ends a sentence; a point before more is part of a name or a range.
            let next = chars.get(end);
            let point =
                next == Some(&'.') && chars.get(end + 1).is_some_and(|c| c.is_alphanumeric() || *c == '.');
            !point && !next.is_some_and(part_of_a_name)
        });
        match end {
            Some(end) => {
                out.push_str(&minus(&chars[i..end].iter().collect::<String>()));
                i = end;
            }
            None => {
                out.push(chars[i]);
                i += 1;
            }
        }
    }
    out
}

/// Where the number ends that begins at `start`, if one does.
fn number_end(chars: &[char], start: usize) -> Option<usize> {
    let digits = |mut i: usize| {
        while chars.get(i).is_some_and(char::is_ascii_digit) {
            i += 1;
        }
        i
    };
    let sign = |i: usize| i + usize::from(matches!(chars.get(i), Some('-' | '+')));
    let first = sign(start);
    if chars[first..].starts_with(&['i', 'n', 'f']) {
        return Some(first + 3);
    }
    let mut end = digits(first);
    if end == first {
        return None;
    }
    if chars.get(end) == Some(&'.') && digits(end + 1) > end + 1 {
        end = digits(end + 1);
    }
    if chars.get(end) == Some(&'e') {
        let exponent = sign(end + 1);
        if digits(exponent) > exponent {
            end = digits(exponent);
        }
    }
    Some(end)
}

#[cfg(test)]
mod tests {
    use super::minus_in_numbers;

    #[test]
    fn numbers_get_the_sign_and_names_keep_their_hyphens() {
        for (text, expected) in [
            ("λ = -16.4 ± 1.2e-3.", "λ = −16.4 ± 1.2e−3."),
            ("[-1e0, 2] at (-0.5, -inf)", "[−1e0, 2] at (−0.5, −inf)"),
            ("step -3", "step −3"),
            ("cifar10-1, resnet56-b, lr-1e-3.npz, lr1e-3", "cifar10-1, resnet56-b, lr-1e-3.npz, lr1e-3"),
            ("runs/-1/out-2.json and --tol", "runs/-1/out-2.json and --tol"),
            ("0..96, 2026-11-26, 1.-2", "0..96, 2026-11-26, 1.-2"),
            ("-", "-"),
            ("", ""),
        ] {
            assert_eq!(minus_in_numbers(text), expected);
        }
    }
}
