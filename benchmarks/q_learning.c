/* Tabular Q-learning with an epsilon-greedy policy over a transition model: the limit that the compiled loop is
 * measured against. The draws are those of NumPy's PCG64, so the action values equal velodrome's bit for bit.
 * Build: cc -O3 -march=native -ffp-contract=off -shared -fPIC -o q_learning.so q_learning.c
 */
#include <stdint.h>

typedef unsigned __int128 uint128_t;
typedef struct {
    uint128_t state, increment;
} pcg64_t;

static const uint128_t MULTIPLIER = ((uint128_t)0x2360ED051FC65DA4ULL << 64) | 0x4385DF649FCCF645ULL;

static inline double draw(pcg64_t *stream) {
    stream->state = stream->state * MULTIPLIER + stream->increment;
    uint64_t folded = (uint64_t)(stream->state >> 64) ^ (uint64_t)stream->state;
    unsigned turn = (unsigned)(stream->state >> 122);
    uint64_t word = (folded >> turn) | (folded << ((64 - turn) & 63));
    return (double)(word >> 11) * (1.0 / 9007199254740992.0);
}

static inline pcg64_t load(const uint64_t *words) {
    pcg64_t stream = {((uint128_t)words[0] << 64) | words[1], ((uint128_t)words[2] << 64) | words[3]};
    return stream;
}

static inline void store(const pcg64_t *stream, uint64_t *words) {
    words[0] = (uint64_t)(stream->state >> 64);
    words[1] = (uint64_t)stream->state;
}

static inline int64_t greedy(const double *action_values, int64_t num_actions, pcg64_t *stream) {
    double best = action_values[0];
    int64_t ties = 1, first = 0;
    for (int64_t action = 1; action < num_actions; action++) {
        double value = action_values[action];
        if (value > best) {
            best = value;
            ties = 1;
            first = action;
        } else if (value == best) {
            ties++;
        }
    }
    if (ties == 1) return first;
    int64_t chosen = (int64_t)(draw(stream) * (double)ties);
    for (int64_t action = first; action < num_actions; action++)
        if (action_values[action] == best && chosen-- == 0) return action;
    return first;
}

/* Runs num_episodes episodes; returns the number of environment steps. */
int64_t q_learning(
    int64_t num_states, int64_t num_actions, const int64_t *offsets, const double *cumulative,
    const int32_t *next_states, const double *rewards, const uint8_t *terminated,
    const double *initial_cumulative, int64_t time_limit, double learning_rate, double discount,
    const double *epsilon, int64_t num_episodes, double *action_values, double *returns, int64_t *lengths,
    uint64_t *environment_words, uint64_t *agent_words) {
    pcg64_t environment = load(environment_words), agent = load(agent_words);
    int64_t steps = 0;
    for (int64_t episode = 0; episode < num_episodes; episode++) {
        double u = draw(&environment), episode_return = 0.0;
        int64_t state = 0, length = 0;
        for (int64_t s = 0; s < num_states; s++)
            if (initial_cumulative[s] > u) {
                state = s;
                break;
            }
        for (;;) {
            double *values = action_values + state * num_actions;
            int64_t action = draw(&agent) < epsilon[episode] ? (int64_t)(draw(&agent) * (double)num_actions)
                                                             : greedy(values, num_actions, &agent);
            int64_t pair = state * num_actions + action, outcome = offsets[pair];
            u = draw(&environment);
            for (int64_t k = offsets[pair]; k < offsets[pair + 1]; k++)
                if (cumulative[k] > u) {
                    outcome = k;
                    break;
                }
            int64_t next_state = next_states[outcome];
            double reward = rewards[outcome], target = reward;
            if (!terminated[outcome]) {
                const double *next_values = action_values + next_state * num_actions;
                double best = next_values[0];
                for (int64_t a = 1; a < num_actions; a++)
                    if (next_values[a] > best) best = next_values[a];
                target += discount * best;
            }
            values[action] += learning_rate * (target - values[action]);
            episode_return += reward;
            length++;
            state = next_state;
            if (terminated[outcome] || length >= time_limit) break;
        }
        returns[episode] = episode_return;
        lengths[episode] = length;
        steps += length;
    }
    store(&environment, environment_words);
    store(&agent, agent_words);
    return steps;
}
