// One copy of the C++ workload of cc1.sh: a small program over the heavier parts of the
// standard library. UNIT names the copy; its types are its own, so every template below
// is instantiated again for each copy. SMALL leaves out the function that needs most of them.
#include <algorithm>
#include <functional>
#include <iomanip>
#include <iterator>
#include <map>
#include <memory>
#include <numeric>
#include <optional>
#include <set>
#include <sstream>
#include <string>
#include <tuple>
#include <unordered_map>
#include <variant>
#include <vector>

namespace UNIT {

struct Key {
    std::string name;
    int number;
    friend bool operator<(const Key &a, const Key &b)
    {
        return std::tie(a.name, a.number) < std::tie(b.name, b.number);
    }
    friend bool operator==(const Key &a, const Key &b) { return a.name == b.name && a.number == b.number; }
};

struct KeyHash {
    std::size_t operator()(const Key &k) const { return std::hash<std::string>()(k.name) * 31 + k.number; }
};

struct Null {};
struct Value;
using Array = std::vector<Value>;
using Object = std::map<std::string, std::shared_ptr<Value>>;
struct Value {
    std::variant<Null, bool, double, std::string, Array, Object> data;
};

class Parser {
  public:
    explicit Parser(std::string text) : text_(std::move(text)) {}

    std::optional<Value> parse()
    {
        skip();
        if (at_ >= text_.size())
            return std::nullopt;
        switch (text_[at_]) {
        case '{': return object();
        case '[': return array();
        case '"': return Value{string()};
        case 't': at_ += 4; return Value{true};
        case 'f': at_ += 5; return Value{false};
        case 'n': at_ += 4; return Value{Null{}};
        default: return number();
        }
    }

  private:
    void skip() { at_ = std::min(text_.find_first_not_of(" \t\n,:", at_), text_.size()); }

    std::string string()
    {
        std::string out;
        for (at_++; at_ < text_.size() && text_[at_] != '"'; at_++)
            out += text_[at_] == '\\' ? text_[++at_] : text_[at_];
        at_++;
        return out;
    }

    std::optional<Value> number()
    {
        std::istringstream in(text_.substr(at_));
        double d;
        if (!(in >> d))
            return std::nullopt;
        at_ = in.eof() ? text_.size() : at_ + std::size_t(in.tellg());
        return Value{d};
    }

    std::optional<Value> array()
    {
        Array out;
        for (++at_, skip(); at_ < text_.size() && text_[at_] != ']'; skip()) {
            auto v = parse();
            if (!v)
                return std::nullopt;
            out.push_back(std::move(*v));
        }
        ++at_;
        return Value{std::move(out)};
    }

    std::optional<Value> object()
    {
        Object out;
        for (++at_, skip(); at_ < text_.size() && text_[at_] != '}'; skip()) {
            auto key = string();
            auto v = parse();
            if (!v)
                return std::nullopt;
            out.emplace(std::move(key), std::make_shared<Value>(std::move(*v)));
        }
        ++at_;
        return Value{std::move(out)};
    }

    std::string text_;
    std::size_t at_ = 0;
};

struct Printer {
    std::ostream &out;
    void operator()(const Null &) const { out << "null"; }
    void operator()(bool b) const { out << std::boolalpha << b; }
    void operator()(double d) const { out << d; }
    void operator()(const std::string &s) const { out << std::quoted(s); }
    void operator()(const Array &a) const
    {
        out << '[';
        for (const auto &v : a)
            std::visit(*this, v.data), out << ',';
        out << ']';
    }
    void operator()(const Object &o) const
    {
        out << '{';
        for (const auto &[k, v] : o)
            out << std::quoted(k) << ':', std::visit(*this, v->data), out << ',';
        out << '}';
    }
};

template <int N>
struct Matrix {
    double cell[N][N] = {};
    template <std::size_t... I>
    double trace(std::index_sequence<I...>) const
    {
        return (cell[I][I] + ...);
    }
    Matrix operator*(const Matrix &b) const
    {
        Matrix out;
        for (int i = 0; i < N; i++)
            for (int j = 0; j < N; j++)
                for (int k = 0; k < N; k++)
                    out.cell[i][j] += cell[i][k] * b.cell[k][j];
        return out;
    }
};

template <int... N>
double traces()
{
    return ((Matrix<N>{} * Matrix<N>{}).trace(std::make_index_sequence<N>()) + ...);
}

template <class Index>
int index(const std::vector<Key> &keys)
{
    Index found;
    for (const auto &k : keys)
        found[k].push_back(k.number);
    int sum = 0;
    for (auto &[k, numbers] : found) {
        std::sort(numbers.begin(), numbers.end(), std::greater<>());
        numbers.erase(std::unique(numbers.begin(), numbers.end()), numbers.end());
        sum += std::accumulate(numbers.begin(), numbers.end(), int(k.name.size()));
    }
    return sum;
}

std::vector<std::function<int(int)>> pipeline(const std::vector<Key> &keys)
{
    std::vector<std::function<int(int)>> out;
    for (const auto &k : keys) {
        out.emplace_back([k](int n) { return n * k.number; });
        out.emplace_back([name = k.name](int n) { return n + int(name.size()); });
    }
    return out;
}

#ifndef SMALL
int run(const std::string &text)
{
    std::ostringstream out;
    if (auto v = Parser(text).parse())
        std::visit(Printer{out}, v->data);

    std::vector<Key> keys;
    std::istringstream in(text);
    for (auto i = std::istream_iterator<std::string>(in); i != std::istream_iterator<std::string>(); ++i)
        if (auto equals = i->find('='); equals != i->npos)
            keys.push_back({i->substr(0, equals), std::stoi(i->substr(equals + 1))});
    std::sort(keys.begin(), keys.end());
    std::set<Key> distinct(keys.begin(), keys.end());
    std::multimap<int, Key, std::greater<>> by_number;
    for (const auto &k : distinct)
        by_number.emplace(k.number, k);

    int sum = index<std::map<Key, std::vector<int>>>(keys) +
              index<std::unordered_map<Key, std::vector<int>, KeyHash>>(keys);
    for (auto &step : pipeline(keys))
        sum = step(sum);
    return sum + int(out.str().size() + by_number.size() + traces<2, 3, 4, 5>());
}
#endif

} // namespace UNIT
