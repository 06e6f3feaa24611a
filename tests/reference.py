"""The textbooks' networks, forward and back through time, in float64, from the equations alone.

Both the torch network and the NumPy runtime are compared with this. It is not fast.
"""

import numpy as np


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def rnn(x, state, w, u, b, nonlinearity):
    """Return the new state and its backward pass: h' = f(W x + U h + b)."""
    [h] = state
    z = w @ x + u @ h + b
    after = np.tanh(z) if nonlinearity == "tanh" else np.maximum(z, 0)

    def back(gradients):
        [d_after] = gradients
        d_z = d_after * (1 - after**2 if nonlinearity == "tanh" else z > 0)
        return w.T @ d_z, [u.T @ d_z], np.outer(d_z, x), np.outer(d_z, h), d_z

    return [after], back


def lstm(x, state, w, u, b, nonlinearity):
    """i, f, o = σ(…), g = tanh(…); c' = f c + i g; h' = o tanh(c')."""
    h, c = state
    z = w @ x + u @ h + b
    z_i, z_f, z_g, z_o = np.split(z, 4)
    i, f, g, o = sigmoid(z_i), sigmoid(z_f), np.tanh(z_g), sigmoid(z_o)
    c_after = f * c + i * g
    h_after = o * np.tanh(c_after)

    def back(gradients):
        d_h, d_c = gradients
        d_c = d_c + d_h * o * (1 - np.tanh(c_after) ** 2)
        d_z = np.concatenate(
            [
                d_c * g * i * (1 - i),
                d_c * c * f * (1 - f),
                d_c * i * (1 - g**2),
                d_h * np.tanh(c_after) * o * (1 - o),
            ]
        )
        return w.T @ d_z, [u.T @ d_z, d_c * f], np.outer(d_z, x), np.outer(d_z, h), d_z

    return [h_after, c_after], back


def gru(x, state, w, u, b, nonlinearity):
    """r, z = σ(…); n = tanh(W x + b + r (U h)); h' = (1 − z) n + z h."""
    [h] = state
    w_r, w_z, w_n = np.split(w @ x + b, 3)
    u_r, u_z, u_n = np.split(u @ h, 3)
    r, z = sigmoid(w_r + u_r), sigmoid(w_z + u_z)
    n = np.tanh(w_n + r * u_n)
    after = (1 - z) * n + z * h

    def back(gradients):
        [d_after] = gradients
        d_n = d_after * (1 - z) * (1 - n**2)
        d_r = d_n * u_n * r * (1 - r)
        d_z = d_after * (h - n) * z * (1 - z)
        from_input = np.concatenate([d_r, d_z, d_n])
        from_state = np.concatenate([d_r, d_z, d_n * r])
        d_h = u.T @ from_state + d_after * z
        return w.T @ from_input, [d_h], np.outer(from_input, x), np.outer(from_state, h), from_input

    return [after], back


CELLS = {"rnn": (rnn, 1), "lstm": (lstm, 2), "gru": (gru, 1)}  # and its state vectors


def loss_and_gradients(config, arrays, ids):
    """Return logits (T − 1, V), the summed −ln p of ids[1:], and its gradient by every array.

    One stream from the zero state; ids[t] predicts ids[t + 1].
    """
    arrays = {name: array.astype(np.float64) for name, array in arrays.items()}
    gradients = {name: np.zeros_like(array) for name, array in arrays.items()}
    (cell, vectors), layers = CELLS[config.cell], range(config.num_layers)
    states = [[np.zeros(config.hidden_size)] * vectors for _ in layers]
    backs, tops, rows = [], [], []
    for token in ids[:-1]:
        x = arrays["embedding.weight"][token]
        steps = []
        for layer in layers:
            w, u, b = (
                arrays[f"recurrent.{layer}.{name}"] for name in ("weight_ih", "weight_hh", "bias")
            )
            states[layer], back = cell(x, states[layer], w, u, b, config.nonlinearity)
            steps.append(back)
            x = states[layer][0] + x if config.residual and layer > 0 else states[layer][0]
        backs.append(steps)
        tops.append(x)
        matrix, projected = _output(config, arrays, x)
        rows.append(matrix @ projected + arrays["output.bias"])
    logits = np.array(rows)
    log_sums = np.log(np.exp(logits).sum(axis=1))
    loss = float((log_sums - logits[np.arange(len(rows)), ids[1:]]).sum())

    d_states = [[np.zeros(config.hidden_size)] * vectors for _ in layers]
    for time in reversed(range(len(rows))):
        d_logits = np.exp(logits[time] - log_sums[time])
        d_logits[ids[time + 1]] -= 1
        d_x = _output_back(config, arrays, gradients, tops[time], d_logits)
        for layer in reversed(layers):
            through = d_x if config.residual and layer > 0 else 0
            d_state = [d_x + d_states[layer][0], *d_states[layer][1:]]
            d_x, d_states[layer], d_w, d_u, d_b = backs[time][layer](d_state)
            d_x = d_x + through
            gradients[f"recurrent.{layer}.weight_ih"] += d_w
            gradients[f"recurrent.{layer}.weight_hh"] += d_u
            gradients[f"recurrent.{layer}.bias"] += d_b
        gradients["embedding.weight"][ids[time]] += d_x
    return logits, loss, gradients


def _output(config, arrays, x):
    """Return the output matrix and its input."""
    if not config.tie_weights:
        return arrays["output.weight"], x
    projected = arrays["output.projection"] @ x if "output.projection" in arrays else x
    return arrays["embedding.weight"][: len(arrays["output.bias"])], projected


def _output_back(config, arrays, gradients, x, d_logits):
    """Add the gradients of the output's arrays; return that of its input."""
    matrix, projected = _output(config, arrays, x)
    gradients["output.bias"] += d_logits
    name = "embedding.weight" if config.tie_weights else "output.weight"
    gradients[name][: len(d_logits)] += np.outer(d_logits, projected)
    d_projected = matrix.T @ d_logits
    if "output.projection" not in arrays:
        return d_projected
    gradients["output.projection"] += np.outer(d_projected, x)
    return arrays["output.projection"].T @ d_projected
