#!/bin/bash
# GCC: compiler, assembler and linker preloaded; objects and programs must be equal byte for byte.
source "$(dirname "$0")/common.bash"

need gcc gcc
need g++ g++
inputs=$bench/inputs

both cc1 gcc -DUNIT=unit -O3 -g -Wall -c -o unit.o "$inputs/cc1-unit.c"
both cc1plus g++ -DUNIT=unit -O2 -g -c -o unit.o "$inputs/cc1-unit.cpp"

cat >"$tmp/main.cpp" <<'END'
#include <iostream>
#include <map>
#include <regex>
#include <string>
#include <thread>
#include <vector>

int main() {
    std::vector<std::map<std::string, int>> counts(4);
    std::vector<std::thread> threads;
    const std::regex word("[a-z]+([0-9]+)");
    for (auto &count : counts)
        threads.emplace_back([&] {
            for (int i = 0; i < 2000; i++) {
                std::smatch match;
                std::string text = "item" + std::to_string(i * 7919 % 1009) + std::string(i % 50, ' ');
                if (std::regex_search(text, match, word)) count[match[1]] += i;
            }
        });
    for (auto &thread : threads) thread.join();
    long sum = 0;
    for (auto &count : counts)
        for (auto &[key, n] : count) sum = (sum * 31 + n + std::stoi(key)) % 1000003;
    std::cout << counts[0].size() << ' ' << sum << '\n';
}
END
both ld bash -c "g++ -std=c++17 -g -pthread -o main '$tmp/main.cpp' && ./main"
both lto1 gcc -flto -frandom-seed=1 -DUNIT=unit -O2 -shared -fPIC -o unit.so "$inputs/cc1-unit.c"
