package ufm

var deepQuestions []Question
